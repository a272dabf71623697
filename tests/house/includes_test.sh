#!/bin/sh
# Usage: includes_test.sh
# Each kind of fault, planted alone into a small tree, is found by includes.sh with its file and line.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# check FILE INCLUDE EXPECTED: EXPECTED is "ok" or a part of the message.
check() {
  rm -rf "${tree:?}/include" "$tree/src" "$tree/apps" "$tree/bench"
  mkdir -p "$(dirname "$tree/$1")"
  printf '// A file.\n#include %s\n' "$2" >"$tree/$1"
  code=0
  output=$(sh "$here/includes.sh" "$tree") || code=$?
  if [ "$3" = ok ]; then
    if [ "$code" -eq 0 ]; then return; fi
  elif [ "$code" -ne 0 ]; then
    case $output in "$1:2: "*"$3"*) return ;; esac
  fi
  echo "#include $2 in $1: expected '$3', got exit code $code and '$output'"
  exit 1
}

check src/train/a.cpp '<evenkeel/model/network.h>' ok
check src/norm/cpu/a-inl.h '<hwy/highway.h>' ok
check src/ops/a.cpp '<oneapi/dnnl/dnnl.hpp>' ok
check bench/a.cpp '<oneapi/dnnl/dnnl.hpp>' ok
check src/model/a.cpp '<toml++/toml.h>' ok
check src/io/a.cpp '<nlohmann/json.hpp>' ok
check src/nn/a.cpp '"nn/layers/a.h"' ok
check apps/evenkeel/a.cpp '<evenkeel/train/train.h>' ok

check src/norm/a.cpp '<evenkeel/ops/matmul.h>' 'the room norm may not include evenkeel/ops/matmul.h'
check src/model/zoo/a.h '"train/progress.h"' 'the room model may not include train/progress.h'
check include/evenkeel/core/a.h '<evenkeel/io/npy.h>' 'the room core may not include'
check include/evenkeel/optim/a.h '<evenkeel/data/loader.h>' 'the room optim may not include'
check src/attic/a.cpp '<vector>' 'the room attic has no row'
check src/nn/a.cpp '<hwy/highway.h>' 'src/norm alone'
check apps/evenkeel/a.cpp '<dnnl.hpp>' 'src/ops alone'
check src/io/a.cpp '<google/protobuf/message_lite.h>' 'src/deploy alone'
check src/train/a.cpp '"onnx.pb.h"' 'src/deploy alone'
check src/train/a.cpp '<toml++/toml.h>' 'src/model alone'
check include/evenkeel/io/a.h '<nlohmann/json.hpp>' 'public header'
check include/evenkeel/io/a.h '<zlib.h>' 'public header'
check include/evenkeel/io/a.h '<png.h>' 'public header'
echo "each fault is found"
