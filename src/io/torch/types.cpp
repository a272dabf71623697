#include "io/torch/types.h"

#include <algorithm>
#include <array>

namespace evenkeel::io {
namespace {

constexpr std::array kTypes = {
    TorchType{"FloatStorage", "f32", 4, DType::f32, widen<float, float>},
    TorchType{"DoubleStorage", "f64", 8, DType::f64, widen<double, double>},
    TorchType{"HalfStorage", "f16", 2, DType::f32, widen_half},
    TorchType{"BFloat16Storage", "bf16", 2, DType::bf16, widen<bf16, bf16>},
    TorchType{"LongStorage", "i64", 8, DType::i64, widen<std::int64_t, std::int64_t>},
    TorchType{"IntStorage", "i32", 4, DType::i32, widen<std::int32_t, std::int32_t>},
    TorchType{"ShortStorage", "i16", 2, DType::i32, widen<std::int16_t, std::int32_t>},
    TorchType{"CharStorage", "i8", 1, DType::i32, widen<std::int8_t, std::int32_t>},
    TorchType{"ByteStorage", "u8", 1, DType::u8, widen<std::uint8_t, std::uint8_t>},
    TorchType{"BoolStorage", "bool", 1, DType::u8, widen<std::uint8_t, std::uint8_t>},
};

}  // namespace

const TorchType* find_torch_type(std::string_view storage) {
  const auto* found = std::ranges::find(kTypes, storage, &TorchType::storage);
  return found == kTypes.end() ? nullptr : found;
}

}  // namespace evenkeel::io
