#!/usr/bin/env bash
# demo.sh: installs what is missing, builds, and trains a small network on the built-in data with batch
# norm and without, each at its best learning rate.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release evenkeel
echo
build/release/bin/evenkeel compare --net mlp --data glyphs --out runs/demo "$@"
echo
echo "Look at a run: build/release/bin/evenkeel inspect runs/demo/batch-0.1"
echo "Train another: build/release/bin/evenkeel train --help"
