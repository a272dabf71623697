#!/usr/bin/env bash
# test.sh [--peers] [--long] [ctest arguments]: installs what is missing, builds, runs every test, and
# says at the end what was skipped and why.
# --peers installs the programs of others that some tests need (PyTorch, torchvision, onnx.checker, ONNX
# Runtime), --long adds the slow tests. EVENKEEL_PRESET chooses another preset than release.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${EVENKEEL_PRESET:-release}
exclude=(-LE long)
peers=no
arguments=()
for argument in "$@"; do
  case $argument in
    --long) exclude=() ;;
    --peers) peers=yes ;;
    *) arguments+=("$argument") ;;
  esac
done
groups=()
[ "$preset" != tsan ] || groups+=(tsan)
scripts/setup.sh ${groups[@]+"${groups[@]}"}
# What is fetched and unpacked need not wait for the compiler, nor the compiler for it.
if [ $peers = yes ]; then
  log=$(mktemp)
  scripts/setup_peers.sh >"$log" 2>&1 &
  end_of_peers() {
    wait
    cat "$log"
    rm -f "$log"
  }
  trap end_of_peers EXIT
fi
scripts/build.sh "$preset"
if [ $peers = yes ]; then
  trap - EXIT
  end_of_peers
fi
# What setup_peers.sh has made is used, whoever called it.
if [ -z "${EVENKEEL_ORT_PYTHON:-}" ] && [ -e build/peers/onnxruntime/installed.txt ]; then
  export EVENKEEL_ORT_PYTHON=$PWD/build/peers/onnxruntime/bin/python
fi

result=0
ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" \
  ${exclude[@]+"${exclude[@]}"} ${arguments[@]+"${arguments[@]}"} || result=$?
scripts/skipped.sh "build/$preset"
exit $result
