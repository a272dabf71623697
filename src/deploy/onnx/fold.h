// What the two families of computations on constants share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "deploy/onnx/importer.h"

namespace evenkeel::deploy {

inline constexpr std::int64_t kMost = std::int64_t{1} << 22;  // elements that may come out of fewer

inline bool is_real(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

inline const Tensor& given(const Importer& importer, const std::vector<Tensor>& inputs,
                           std::size_t i) {
  if (i >= inputs.size() || !inputs[i].defined()) {
    importer.refuse("it needs {} inputs or more, it has {}", i + 1, inputs.size());
  }
  return inputs[i];
}

/// Refuses results that are much larger than what the file holds.
inline void check_size(const Importer& importer, const Shape& shape, std::int64_t from) {
  if (shape.numel() > std::max(kMost, from)) {
    importer.refuse("its result {} is too large to be computed when a model is read", shape.str());
  }
}

inline std::vector<std::int64_t> list_of(const Importer& importer,
                                         const std::vector<Tensor>& inputs, std::size_t i) {
  const Tensor& tensor = given(importer, inputs, i);
  if (is_real(tensor.dtype())) importer.refuse("its input {} holds no integers", i);
  return integers_of(tensor);
}

/// A tensor of `shape` whose element i is `from`'s element at(i).
template <class F>
Tensor picked(const Tensor& from, const Shape& shape, F&& at) {
  Tensor result = Tensor::empty(shape, from.dtype());
  const std::size_t size = size_of(from.dtype());
  const auto* const in = static_cast<const std::byte*>(from.raw());
  auto* const out = static_cast<std::byte*>(result.raw());
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    const auto k = static_cast<std::size_t>(at(i));
    std::copy_n(in + k * size, size, out + static_cast<std::size_t>(i) * size);
  }
  return result;
}

/// Where element i of `whole` lies in `part`, which repeats.
inline std::int64_t place_in(const Shape& whole, const Shape& part, std::int64_t i) {
  std::int64_t place = 0, stride = 1;
  for (int d = 1; d <= whole.rank(); ++d) {
    const std::int64_t at = i % whole[-d];
    i /= whole[-d];
    if (d > part.rank()) continue;
    place += part[-d] == 1 ? 0 : at * stride;
    stride *= part[-d];
  }
  return place;
}

inline Tensor repeated(const Tensor& from, const Shape& shape) {
  if (from.shape() == shape) return from;
  return picked(from, shape, [&](std::int64_t i) { return place_in(shape, from.shape(), i); });
}

// Arithmetic.
Tensor fold_add(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_sub(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_mul(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_div(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_equal(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_neg(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_floor(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_sqrt(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_range(const Importer& importer, const std::vector<Tensor>& inputs);
Tensor fold_reduce_prod(const Importer& importer, const std::vector<Tensor>& inputs);

}  // namespace evenkeel::deploy
