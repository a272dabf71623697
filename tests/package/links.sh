#!/usr/bin/env bash
# links.sh PROGRAM COMMANDS: the program of a consumer of evenkeel::norm alone was linked with core,
# norm and what they need, and with nothing else.
set -euo pipefail
program=$1
commands=$2
allowed='libevenkeel_(core|norm)\.so\..*|libfmt\.so\..*|libhwy\.so\..*|libgomp\.so\..*'
allowed="$allowed|libstdc\+\+\.so\..*|libgcc_s\.so\..*|libm\.so\..*|libc\.so\..*|ld-linux.*"
needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
if ! grep -q libstdc <<<"$needed"; then
  echo "expected a list of libraries with libstdc++ in it, got: $needed"
  exit 1
fi
if grep -vxE "$allowed" <<<"$needed"; then
  echo "is linked directly, and should not be"
  exit 1
fi
# Behind them as well: nothing loads oneDNN, JSON, PNG, protobuf or toml++.
others='dnnl|json|png|proto|toml|zlib|libz\.|_ops|_io|_nn|_data|_model|_deploy|_train'
if ldd "$program" | awk '{ print $1 }' | grep -E "$others"; then
  echo "is loaded, and should not be"
  exit 1
fi
link=$(grep -E -- '-o consumer( |$)' "$commands")
if tr ' ' '\n' <<<"$link" | grep -E "(-l|/lib|^lib)[^/]*($others)[^/]*$"; then
  echo "is in the link command, and should not be"
  exit 1
fi
echo "linked: $(tr '\n' ' ' <<<"$needed")"
