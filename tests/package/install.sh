#!/usr/bin/env bash
# install.sh BUILD PREFIX: installs a built tree, then moves the result to PREFIX: nothing installed
# may remember where it was put first.
set -euo pipefail
build=$1
prefix=$2
rm -rf "$prefix" "$prefix.first"
cmake --install "$build" --prefix "$prefix.first" >/dev/null
mv "$prefix.first" "$prefix"
