#!/usr/bin/env bash
# demo.sh: installs what is missing, builds, and trains a small network on the built-in data with batch
# norm and without, each at its best learning rate.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release evenkeel
echo
shown=$(mktemp)
trap 'rm -f "$shown"' EXIT
build/release/bin/evenkeel compare --net mlp --data glyphs --out runs/demo "$@" | tee "$shown"
echo
if best=$(grep -m 1 -Eo 'runs/demo/[^ ]+' "$shown"); then
  echo "Look at a run: build/release/bin/evenkeel inspect $best"
fi
echo "Train another: build/release/bin/evenkeel train --help"
