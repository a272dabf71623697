#!/usr/bin/env bash
# consumer.sh SOURCE BUILD [arguments of cmake...]: configures and builds another project, then runs its
# program.
set -euo pipefail
source=$1
build=$2
shift 2
mkdir -p "$build"
# Everything is found, compiled and linked anew, but for evenkeel where the project builds it itself.
rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles" "$build/consumer"
cmake -S "$source" -B "$build" "$@"
cmake --build "$build" --verbose --parallel "$(nproc)" | tee "$build/commands.txt"
cd "$build"
./consumer
