#!/usr/bin/env bash
# build.sh PRESET [TARGET...]: configures the preset where that is needed and builds.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
targets=()
[ $# -eq 0 ] || targets=(--target "$@")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" >"$log" 2>&1; then
  cat "$log" >&2
  echo "build: the configuration failed; see the lines above" >&2
  exit 1
fi
cmake --build "build/$preset" ${targets[@]+"${targets[@]}"}
