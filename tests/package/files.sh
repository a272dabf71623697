#!/usr/bin/env bash
# files.sh PREFIX FOLDER...: an installed evenkeel holds what it should, and no text in it names one of
# the folders: those where it was built and first installed.
set -euo pipefail
prefix=$1
shift
cd "$prefix"
for file in bin/evenkeel include/evenkeel/evenkeel.h; do
  if [ ! -e "$file" ]; then
    echo "$file is missing"
    exit 1
  fi
done
for folder in "$@"; do
  if grep -rlIF -- "$folder" .; then
    echo "names $folder: an installed folder could not be moved"
    exit 1
  fi
done
if find . -name '*.cpp' -o -type d -empty | grep .; then
  echo "should not be installed"
  exit 1
fi
bin/evenkeel --version
bin/evenkeel info >/dev/null
