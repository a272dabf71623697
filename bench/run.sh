#!/usr/bin/env bash
# run.sh: the benchmark, against every peer, in one command; see --help.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: bench/run.sh [options] [-- options of evenkeel_bench]
Builds evenkeel_bench, installs the peers (PyTorch and another oneDNN from PyPI, 5 GB, once),
measures everything in turns, and prints one table. Use a machine that does nothing else.

  --quick      a representative few, some minutes instead of hours
  --no-peers   evenkeel, the oneDNN that it links, and the copy
  --compile    PyTorch's training steps through torch.compile as well
  --document   writes the table into docs/performance.md
  --out DIR    for results.json and the plots (build/bench-results)

Examples:
  bench/run.sh --quick
  bench/run.sh --quick --no-peers -- --parts batch-norm --works forward+relu --batch 32
  bench/run.sh --compile --document
TEXT
}

quick=() peers=yes compile=() document=() out=build/bench-results
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --quick) quick=(--quick) ;;
    --no-peers) peers=no ;;
    --compile) compile=(--compile) ;;
    --document) document=(--document docs/performance.md) ;;
    --out) out=${2:?--out wants a folder}; shift ;;
    --) shift; break ;;
    *) echo "run: there is no option '$1'; see bench/run.sh --help" >&2; exit 2 ;;
  esac
  shift
done

scripts/setup.sh bench
configure=(-DEVENKEEL_BENCH=ON -DEVENKEEL_TESTS=OFF -DEVENKEEL_EXAMPLES=OFF)
targets=(evenkeel_bench)
workers=()
python=
if [ $peers = yes ]; then
  bench/peers/install.sh
  python=build/peers/venv/bin/python
  configure+=(-DDNNL_ROOT="$PWD/build/peers/venv")
  targets+=(evenkeel_bench_onednn)
  workers=(--worker "$python bench/peers/worker.py ${compile[*]-}"
    --worker build/bench/bin/evenkeel_bench_onednn)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake -S . -B build/bench -G Ninja -DCMAKE_BUILD_TYPE=Release "${configure[@]}" &&
  cmake --build build/bench --target "${targets[@]}"; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "run: the build failed; see the lines above" >&2
  exit 1
fi

mkdir -p "$out"
build/bench/bin/evenkeel_bench ${quick[@]+"${quick[@]}"} ${workers[@]+"${workers[@]}"} \
  --json "$out/results.json" ${document[@]+"${document[@]}"} "$@" | tee "$out/table.txt"
if [ -n "$python" ]; then
  "$python" bench/plot.py "$out/results.json" "$out"
elif python3 -c 'import matplotlib' 2>/dev/null; then
  python3 bench/plot.py "$out/results.json" "$out"
else
  echo "run: no plots, for there is no matplotlib (python3-matplotlib)" >&2
fi
echo "run: $out holds results.json, table.txt and the plots" >&2
