#!/usr/bin/env bash
# config.sh PREFIX BUILD [arguments of cmake...]: what find_package answers.
set -euo pipefail
prefix=$1
build=$2
shift 2
rm -rf "$build"
mkdir -p "$build/project"
arguments=("-DCMAKE_PREFIX_PATH=$prefix" "$@")
# As if the libraries that norm does not need were not installed.
without=()
for package in EvenkeelDnnl ZLIB PNG tomlplusplus nlohmann_json CLI11 Protobuf; do
  without+=("-DCMAKE_DISABLE_FIND_PACKAGE_$package=ON")
done

# try yes|no TEXT COMMANDS [arguments of cmake...]: a project of these commands is configured, or
# refused, and TEXT (a regular expression) is in what is printed.
try() {
  local wanted=$1 text=$2 commands=$3 got=yes
  shift 3
  printf 'cmake_minimum_required(VERSION 3.25)\nproject(asks LANGUAGES CXX)\n%s\n' "$commands" \
    >"$build/project/CMakeLists.txt"
  rm -rf "$build/tree"
  cmake -S "$build/project" -B "$build/tree" "${arguments[@]}" "$@" >"$build/output.txt" 2>&1 || got=no
  # Messages are broken into lines of a terminal's width.
  if [ "$got" != "$wanted" ] || ! tr -s ' \n' '  ' <"$build/output.txt" | grep -qE "$text"; then
    echo "${commands%%$'\n'*}: expected success: $wanted, and '$text'; got success: $got, and"
    cat "$build/output.txt"
    exit 1
  fi
  echo "as expected: ${commands%%$'\n'*}"
}

# shellcheck disable=SC2016  # CMake expands it
tell='foreach(name core norm ops io nn optim data model deploy train evenkeel)
  if(TARGET evenkeel::${name})
    list(APPEND there ${name})
  endif()
endforeach()
message(STATUS "there: ${there}.")
message(STATUS "found: ${evenkeel_FOUND}. why: ${evenkeel_NOT_FOUND_MESSAGE}.")'

try yes 'there: core;norm;ops;io;nn;optim;data;model;deploy;train;evenkeel\.' \
  "find_package(evenkeel REQUIRED)
$tell"
try yes 'there: core;norm\.' "find_package(evenkeel REQUIRED COMPONENTS norm)
$tell" "${without[@]}"
try yes 'there: core;norm;ops;nn;optim\.' "find_package(evenkeel 0.1 REQUIRED COMPONENTS optim norm)
$tell" -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON -DCMAKE_DISABLE_FIND_PACKAGE_PNG=ON
# Asked again for more, there is more.
try yes 'there: core;norm;io\.' "find_package(evenkeel REQUIRED COMPONENTS norm)
find_package(evenkeel REQUIRED COMPONENTS io)
$tell"

try no "no component 'batchnorm' here; it has core, norm, .*train" \
  "find_package(evenkeel REQUIRED COMPONENTS norm batchnorm)"
try yes "found: 0\. why: .*no component 'batchnorm'" "find_package(evenkeel COMPONENTS batchnorm)
$tell"
try yes 'there: core;norm\. .*found: 1\. why: \.' \
  "find_package(evenkeel REQUIRED COMPONENTS norm OPTIONAL_COMPONENTS batchnorm nn)
$tell" "${without[@]}"
try no 'evenkeel::ops needs EvenkeelDnnl \(Debian: libdnnl-dev\), which was not found' \
  "find_package(evenkeel REQUIRED COMPONENTS nn)" "${without[@]}"
try no 'which was not found' "find_package(evenkeel REQUIRED)" "${without[@]}"
try no 'compatible with requested version "9.0"' "find_package(evenkeel 9.0 REQUIRED)"
try no 'compatible with requested version "0.2"' "find_package(evenkeel 0.2 REQUIRED)"
