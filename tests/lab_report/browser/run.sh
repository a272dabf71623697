#!/bin/sh
# run.sh MAKE_PAGE EVENKEEL: page_test.py, or 77 (ctest: skipped) where there is no Python.
if ! command -v python3 >/dev/null; then
  echo "skipped: python3 not found; scripts/setup.sh browser installs it"
  exit 77
fi
exec python3 "$(dirname "$0")/page_test.py" "$@"
