#!/usr/bin/env bash
# skipped.sh BUILD: what the last run of ctest in that folder did not test, by reason; nothing where it
# tested all. GTest puts the reason behind a line that ends in ": Skipped".
set -euo pipefail
log=$1/Testing/Temporary/LastTest.log
[ -e "$log" ] || exit 0
awk '
  skipped && NF { reasons[$0]++; skipped = 0 }
  /: Skipped$/ { skipped = 1 }
  /: not compared with it$/ { reasons[$0]++ }
  END { for (reason in reasons) printf "  %d x %s\n", reasons[reason], reason }
' "$log" | LC_ALL=C sort -k 3 | { grep . >"$log.skipped" || true; }
if [ -s "$log.skipped" ]; then
  echo "Skipped here, and why:"
  cat "$log.skipped"
fi
