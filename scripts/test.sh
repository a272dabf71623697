#!/usr/bin/env bash
# test.sh [--long] [ctest arguments]: installs what is missing, builds, runs every test.
# --long adds the slow ones. EVENKEEL_PRESET chooses another preset than release.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${EVENKEEL_PRESET:-release}
exclude=(-LE long)
arguments=()
for argument in "$@"; do
  if [ "$argument" = --long ]; then exclude=(); else arguments+=("$argument"); fi
done
groups=()
[ "$preset" != tsan ] || groups+=(tsan)
[ ${#exclude[@]} -gt 0 ] || groups+=(torchvision)
scripts/setup.sh ${groups[@]+"${groups[@]}"}
scripts/build.sh "$preset"
ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" "${exclude[@]}" \
  ${arguments[@]+"${arguments[@]}"}
