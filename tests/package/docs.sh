#!/usr/bin/env bash
# docs.sh GUIDE FOLDER: every line of the guide's CMake, C++ and compiler snippets stands in a project
# or script of the folder, which the tests build and run.
set -euo pipefail
guide=$1
folder=$2
lines=$(awk '/^```/ { code = $0 ~ /^```(cmake|cpp|sh)$/; next } code && NF' "$guide")
if [ "$(wc -l <<<"$lines")" -lt 10 ]; then
  echo "expected snippets in $guide, got: $lines"
  exit 1
fi
missing=0
while IFS= read -r line; do
  line=$(sed 's/^ *//; s/ *$//' <<<"$line")
  if ! grep -rqF -- "$line" "$folder"; then
    echo "no test does this: $line"
    missing=1
  fi
done <<<"$lines"
exit $missing
