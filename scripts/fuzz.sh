#!/usr/bin/env bash
# fuzz.sh: builds the fuzz targets and runs them; see --help.
set -euo pipefail
cd "$(dirname "$0")/.."

readers=(safetensors npy npz torch idx gzip cifar10 csv sequences image config run onnx)
folder=build/fuzz

usage() {
  cat <<'TEXT'
usage: scripts/fuzz.sh [options] [SECONDS] [READER...]
Fuzzes every reader, or those named, for SECONDS each (default 60) and prints a table.
Exits with 1 if there is a finding, and says where the input lies that shows it.

  --jobs N     readers at a time (default 1)
  --coverage   adds the lines of each reader's sources that its corpus reaches (another build)
  --no-build   runs what is built already

Readers: safetensors npy npz torch idx gzip cifar10 csv sequences image config
run (a run folder) onnx
Corpora that grow stay in build/fuzz/corpus. clang is installed where it is missing.

Examples:
  scripts/fuzz.sh                  a minute each
  scripts/fuzz.sh 600 --jobs 2     ten minutes each, two at a time
  scripts/fuzz.sh 30 npy npz       two readers
  scripts/fuzz.sh 0 --coverage     no fuzzing: the coverage of the corpora as they are
TEXT
}

seconds=60
jobs=1
coverage=no
build=yes
chosen=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --jobs)
      jobs=${2:-}
      case $jobs in '' | *[!0-9]* | 0) echo "fuzz: --jobs wants a number from 1" >&2; exit 2 ;; esac
      shift ;;
    --coverage) coverage=yes ;;
    --no-build) build=no ;;
    *[!0-9]*)
      case " ${readers[*]} " in
        *" $1 "*) chosen+=("$1") ;;
        *) echo "fuzz: there is no reader or option '$1'; known are ${readers[*]}" >&2; exit 2 ;;
      esac ;;
    *) seconds=$1 ;;
  esac
  shift
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${readers[@]}")

if [ $build = yes ]; then
  groups=(fuzz)
  [ $coverage = no ] || groups+=(fuzz-coverage)
  scripts/setup.sh "${groups[@]}"
  scripts/build.sh fuzz "${chosen[@]/#/fuzz_}"
fi

# A reader's work: seeds, then libFuzzer on them and on what earlier runs have found.
fuzz_one() {
  local reader=$1 files
  mkdir -p "$folder/corpus/$reader" "$folder/seeds/$reader" "$folder/findings" "$folder/log"
  files=$(mktemp -d -p "$scratch" "$reader-XXXXXX")
  local corpora=("$folder/corpus/$reader" "$folder/seeds/$reader")
  [ ! -d "fuzz/findings/$reader" ] || corpora+=("fuzz/findings/$reader")
  local limit=(-max_total_time="$seconds")
  [ "$seconds" != 0 ] || limit=(-runs=0)
  EVENKEEL_FUZZ_SEEDS=$folder/seeds/$reader TMPDIR=$files \
    UBSAN_OPTIONS=print_stacktrace=1 \
    "$folder/bin/fuzz_$reader" "${limit[@]}" -timeout=5 -rss_limit_mb=512 -max_len=65536 \
    -dict="fuzz/dictionaries/$reader.dict" -print_final_stats=1 \
    -artifact_prefix="$folder/findings/$reader-" "${corpora[@]}" \
    >"$folder/log/$reader.log" 2>&1 || true
}

scratch=$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$scratch"' EXIT
running=0
for reader in "${chosen[@]}"; do
  if [ $running -ge "$jobs" ]; then
    wait -n
    running=$((running - 1))
  fi
  fuzz_one "$reader" &
  running=$((running + 1))
done
wait

lines_header=
if [ $coverage = yes ]; then
  scripts/fuzz_coverage.sh "${chosen[@]}" >"$scratch/lines"
  lines_header=lines
fi

# The number behind a word of libFuzzer's log; the last one, as it counts on.
last_of() { sed -nE "s/.*$1 *([0-9]+).*/\1/p" "$folder/log/$2.log" | tail -n 1; }

found=0
printf '%-12s %12s %9s %7s %9s  %s\n' reader executions exec/s edges findings "$lines_header"
for reader in "${chosen[@]}"; do
  executions=$(last_of 'stat::number_of_executed_units:' "$reader")
  rate=$(last_of 'stat::average_exec_per_sec:' "$reader")
  edges=$(last_of 'cov:' "$reader")
  findings=$(sed -nE 's/.*Test unit written to (.*)/\1/p' "$folder/log/$reader.log")
  count=$(printf '%s' "$findings" | grep -c . || true)
  if [ "$count" = 0 ] && ! grep -qE '^(Done|stat::)' "$folder/log/$reader.log"; then
    count=1
    findings="$folder/log/$reader.log (it did not run)"
  fi
  lines=
  [ $coverage = no ] || lines=$(sed -n "s/^$reader //p" "$scratch/lines")
  printf '%-12s %12s %9s %7s %9s  %s\n' "$reader" "${executions:--}" "${rate:--}" "${edges:--}" \
    "$count" "$lines"
  if [ "$count" != 0 ]; then
    found=1
    printf '  %s\n' "$findings"
  fi
done
exit $found
