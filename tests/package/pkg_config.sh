#!/usr/bin/env bash
# pkg_config.sh [long_]static|shared PREFIX MAIN BUILD: builds main.cpp against an installed evenkeel with a
# plain compiler command, and runs it.
set -euo pipefail
kind=$1
prefix=$2
main=$3
build=$4
rm -rf "$build"
mkdir -p "$build"
cp "$main" "$build/main.cpp"
cd "$build"
# A relative path: the shell splits what pkg-config prints at spaces.
PKG_CONFIG_PATH=$(realpath --relative-to=. "$(dirname "$(find "$prefix" -name evenkeel-norm.pc)")")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # a list of words
case ${kind#long_} in
  static)
    g++ -std=c++20 main.cpp $(pkg-config --cflags --libs --static evenkeel-norm)
    ./a.out
    ;;
  shared)
    g++ -std=c++20 main.cpp $(pkg-config --cflags --libs evenkeel-norm)
    LD_LIBRARY_PATH=$(pkg-config --variable=libdir evenkeel-norm) ./a.out
    ;;
  *)
    echo "expected static or shared, got $kind"
    exit 1
    ;;
esac
