#!/usr/bin/env bash
# headers.sh PREFIX COMPILER: each installed header compiles alone and without a warning, and
# evenkeel.h brings every one of them.
set -euo pipefail
cd "$1/include"
compiler=$2
flags=(-std=c++20 -fsyntax-only -x c++ -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -I.)
headers=$(find evenkeel -name '*.h' | LC_ALL=C sort)
if [ "$(wc -l <<<"$headers")" -lt 50 ]; then
  echo "expected the headers of all rooms, got: $headers"
  exit 1
fi

check() {
  # A source that includes it, for a header itself is no main file.
  if ! echo "#include <$1>" | "$compiler" "${flags[@]}" -; then
    echo "$1 does not compile alone"
    return 1
  fi
}
running=0
for header in $headers; do
  check "$header" &
  running=$((running + 1))
  if [ "$running" -ge "$(nproc)" ]; then
    wait -n
    running=$((running - 1))
  fi
done
while [ "$running" -gt 0 ]; do
  wait -n
  running=$((running - 1))
done

included=$(echo '#include <evenkeel/evenkeel.h>' | "$compiler" -std=c++20 -x c++ -I. -M - |
  tr ' ' '\n' | sed 's|^\./||' | grep '^evenkeel/' | LC_ALL=C sort -u)
if ! diff <(echo "$headers") <(echo "$included"); then
  echo "evenkeel.h does not bring the headers marked with <"
  exit 1
fi
echo "$(wc -l <<<"$headers") headers"
