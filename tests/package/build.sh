#!/usr/bin/env bash
# build.sh SOURCE BUILD [arguments of cmake...]: builds evenkeel's libraries alone.
set -euo pipefail
source=$1
build=$2
shift 2
mkdir -p "$build"
cmake -S "$source" -B "$build" "$@"
cmake --build "$build" --parallel "$(nproc)"
