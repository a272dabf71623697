#!/usr/bin/env bash
# setup.sh [bench] [browser] [fuzz] [fuzz-coverage] [peers] [tsan]: installs the Debian
# packages that evenkeel builds with, those that are missing alone, and what the named work needs
# beside them. As root, or through sudo. EVENKEEL_NO_INSTALL=1 skips it.
set -euo pipefail

# package: what it is for
packages=(
  "g++:compiler (C++20, OpenMP)"
  "cmake:build"
  "ninja-build:build"
  "pkg-config:finding libraries"
  "libfmt-dev:text formatting"
  "libhwy-dev:Highway, SIMD for the normalization kernels"
  "libdnnl-dev:oneDNN, convolution and matrix products"
  "libcli11-dev:command line"
  "libtomlplusplus-dev:TOML config files"
  "nlohmann-json3-dev:JSON"
  "libjs-chart.js:Chart.js, the charts of reports"
  "libpng-dev:PNG images"
  "zlib1g-dev:gzip and npz"
  "libprotobuf-dev:ONNX models"
  "protobuf-compiler:ONNX models"
  "dpkg-dev:Debian packages"
  "file:Debian packages"
  "libgtest-dev:tests"
  "librapidcheck-dev:property tests"
  "libonnx-testdata:the ONNX operators' own tests"
  "locales:tests under a locale that writes 1,5"
)

for group in "$@"; do
  case $group in
    fuzz | tsan)
      packages+=(
        "clang:libFuzzer, ThreadSanitizer"
        "libclang-rt-14-dev:libFuzzer and sanitizers"
        "libomp-dev:OpenMP for clang"
      ) ;;
    fuzz-coverage) packages+=("llvm:what the fuzzers reach") ;;
    peers)
      packages+=(
        "python3-torch:networks and weights to be read"
        "python3-torchvision:networks to be read"
        "python3-onnx:onnx.checker"
        "python3-venv:the environment of ONNX Runtime, which Debian does not have"
      ) ;;
    bench) packages+=("libbenchmark-dev:Google Benchmark") ;;
    browser)
      packages+=(
        "chromium:opening reports"
        "chromium-driver:steering Chromium"
        "python3:steering Chromium"
      ) ;;
    *)
      echo "setup: there is no group '$group'; known are bench, browser, fuzz, fuzz-coverage," \
        "peers, tsan" >&2
      exit 2
      ;;
  esac
done

if [ "${EVENKEEL_NO_INSTALL:-}" = 1 ]; then
  exit 0
fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup: no Debian package manager here; install these yourself and set EVENKEEL_NO_INSTALL=1:" >&2
  printf '  %s\n' "${packages[@]%%:*}" >&2
  exit 1
fi

missing=()
for entry in "${packages[@]}"; do
  name=${entry%%:*}
  status=$(dpkg-query -W -f='${Status}' "$name" 2>/dev/null || true)
  if [ "$status" != "install ok installed" ]; then
    [ ${#missing[@]} -gt 0 ] || echo "setup: installing Debian packages that are missing:"
    printf '  %-20s %s\n' "$name" "${entry#*:}"
    missing+=("$name")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: run this as root, or install sudo, or install the packages above yourself" >&2
    exit 1
  fi
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y \
  --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: apt-get failed; see the lines above" >&2
  exit 1
fi
echo "setup: done"
