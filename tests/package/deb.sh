#!/usr/bin/env bash
# deb.sh BUILD FOLDER: makes the Debian packages of a built tree, looks at their fields and unpacks them
# into FOLDER/root, where the command runs.
set -euo pipefail
build=$1
folder=$2
rm -rf "$folder"
mkdir -p "$folder"
cpack --config "$build/CPackConfig.cmake" -G DEB -B "$folder" >"$folder/cpack.txt" 2>&1 ||
  { cat "$folder/cpack.txt"; exit 1; }

# field PACKAGE FIELD: of all packages of that name, which may be a pattern.
field() {
  local package
  # shellcheck disable=SC2231  # a pattern
  for package in "$folder"/$1_*.deb; do dpkg-deb -f "$package" "$2"; done
}
# expect PACKAGE FIELD TEXT: the field holds TEXT, a regular expression.
expect() {
  local value
  value=$(field "$1" "$2")
  if ! grep -qE -- "$3" <<<"$value"; then
    echo "$1: expected '$3' in the field $2, got: $value"
    exit 1
  fi
}
for package in evenkeel libevenkeel-dev; do
  expect "$package" Maintainer '.+ <.+@.+>'
  expect "$package" Description '^batch normalization: .+'
  expect "$package" Version '^[0-9]+\.[0-9]+\.[0-9]+$'
done
needed=(libfmt-dev)
if ls "$folder"/libevenkeel[0-9]*.deb >/dev/null 2>&1; then
  running='libevenkeel[0-9]*'  # shared: what is behind the libraries is needed by them alone
  needed+=('libevenkeel[0-9.]+')
  expect evenkeel Depends '^libevenkeel[0-9.]+ \(= '
else
  running=evenkeel
  needed+=(libdnnl-dev libhwy-dev libpng-dev libprotobuf-dev libtomlplusplus-dev zlib1g-dev)
fi
for library in libc6 libdnnl2 libfmt9 libhwy1 libpng16-16 libprotobuf-lite32 'libstdc\+\+6' zlib1g; do
  expect "$running" Depends "(^|, )$library( |,|\$)"
done
for library in "${needed[@]}"; do
  expect libevenkeel-dev Depends "(^|, )$library( |,|\$)"
done

for package in "$folder"/*.deb; do
  dpkg-deb -x "$package" "$folder/root"
  name=$(dpkg-deb -f "$package" Package)
  if [ ! -s "$folder/root/usr/share/doc/$name/copyright" ]; then
    echo "$name has no copyright file"
    exit 1
  fi
done
if find "$folder/root" -mindepth 1 -maxdepth 1 -not -name usr | grep .; then
  echo "is outside of /usr"
  exit 1
fi
"$folder/root/usr/bin/evenkeel" info
for package in "$folder"/*.deb; do
  echo "$(basename "$package"): $(dpkg-deb -f "$package" Depends)"
done
