#!/usr/bin/env bash
# fuzz_coverage.sh READER...: for each, the lines of its sources that the grown corpus reaches. Called
# by fuzz.sh --coverage; needs clang and llvm.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=build/fuzz-coverage

# What a reader is made of.
sources_of() {
  case $1 in
    safetensors) echo src/io/safetensors.cpp src/io/safetensors_header.cpp ;;
    npy) echo src/io/npy.cpp src/io/npy_header.cpp ;;
    npz) echo src/io/npz.cpp src/io/zip.cpp ;;
    torch) echo src/io/torch/*.cpp ;;
    idx | cifar10) echo src/io/idx.cpp ;;
    gzip) echo src/io/file.cpp src/io/inflate.cpp src/io/source.cpp ;;
    csv) echo src/io/table.cpp src/io/csv_reader.cpp src/io/number.cpp ;;
    sequences) echo src/io/sequences.cpp ;;
    image) echo src/io/image.cpp src/io/image_png.cpp src/io/image_pnm.cpp ;;
    config) echo src/model/config.cpp src/model/config_text.cpp src/model/toml_text.cpp \
      src/model/toml_limits.cpp src/model/network_options.cpp src/model/network_size.cpp \
      src/model/layer_list.cpp src/train/settings.cpp ;;
    run) echo src/model/run_folder.cpp src/model/network_file.cpp src/model/recipe_text.cpp \
      src/model/checksum.cpp src/train/checkpoint.cpp ;;
    onnx) echo src/deploy/onnx/{read,tensor,shapes,window,operators,network,fold,fold_arithmetic}.cpp \
      src/deploy/onnx/import*.cpp ;;
  esac
}

scripts/build.sh fuzz-coverage fuzz_replay >&2
for reader in "$@"; do
  profile=$folder/$reader
  inputs=()
  for inputs_of in "fuzz/findings/$reader" "build/fuzz/corpus/$reader"; do
    [ ! -d "$inputs_of" ] || inputs+=("$inputs_of")
  done
  LLVM_PROFILE_FILE=$profile.raw "$folder/bin/fuzz_replay" "$reader" \
    ${inputs[@]+"${inputs[@]}"} >&2
  llvm-profdata merge -o "$profile.data" "$profile.raw"
  read -r -a sources <<<"$(sources_of "$reader")"
  llvm-cov export -summary-only -instr-profile="$profile.data" "$folder/bin/fuzz_replay" \
    "${sources[@]}" |
    sed -E 's/.*"totals":.*"lines":\{"count":([0-9]+),"covered":([0-9]+).*/\1 \2/' |
    awk -v reader="$reader" '{ printf "%s %d of %d (%.0f%%)\n", reader, $2, $1, 100 * $2 / $1 }'
done
