// Operators on constants: the arithmetic with shapes that exporters write, and weights in disguise.

#include "deploy/onnx/fold.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace evenkeel::deploy {
namespace {

Tensor fold_identity(const Importer& importer, const std::vector<Tensor>& inputs) {
  return given(importer, inputs, 0);
}

Tensor fold_constant(const Importer& importer, const std::vector<Tensor>&) {
  if (const Attribute* value = importer.find_attribute("value")) {
    if (value->kind == Attribute::Kind::tensor) return value->tensor;
  }
  if (importer.has_attribute("value_float")) {
    return Tensor::full({}, importer.attribute("value_float", 0.0));
  }
  if (importer.has_attribute("value_int")) {
    return Tensor::from({importer.attribute("value_int", std::int64_t{0})}, {});
  }
  if (importer.has_attribute("value_ints")) {
    const auto list = importer.attribute("value_ints", std::vector<std::int64_t>{});
    return Tensor::from(std::span<const std::int64_t>(list),
                        {static_cast<std::int64_t>(list.size())});
  }
  if (const Attribute* reals = importer.find_attribute("value_floats")) {
    const std::vector<float> list(reals->reals.begin(), reals->reals.end());
    return Tensor::from(std::span<const float>(list), {static_cast<std::int64_t>(list.size())});
  }
  importer.refuse("its value is not supported");
}

Tensor fold_constant_of_shape(const Importer& importer, const std::vector<Tensor>& inputs) {
  const auto dims = list_of(importer, inputs, 0);
  const Shape shape{std::span<const std::int64_t>(dims)};
  check_size(importer, shape, 0);
  const Attribute* const value = importer.find_attribute("value");
  if (value == nullptr) return Tensor::zeros(shape);
  if (value->kind != Attribute::Kind::tensor || value->tensor.numel() != 1) {
    importer.refuse("its value is no single number");
  }
  return picked(value->tensor, shape, [](std::int64_t) { return 0; });
}

/// To the values that a 16-bit type has, in f32.
Tensor rounded(const Tensor& x, OnnxType type) {
  const Tensor single = x.to(DType::f32);
  if (type == OnnxType::bfloat16) return single.to(DType::bf16).to(DType::f32);
  Tensor result = single.clone();
  for (float& value : result.span<float>()) {
    // Adding and taking away a power of two leaves the bits that fit: 11, fewer for denormals.
    int exponent = 0;
    std::frexp(value, &exponent);
    const float scale = std::ldexp(1.5F, std::max(exponent, -13) + 12);
    if (std::isfinite(value)) value = (value + scale) - scale;
    constexpr float kLargest = 65504.0F;
    if (std::abs(value) > kLargest) value = std::copysign(INFINITY, value);
  }
  return result;
}

Tensor fold_cast(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& x = given(importer, inputs, 0);
  const auto type = static_cast<OnnxType>(importer.attribute("to", std::int64_t{0}));
  const auto dtype = held_as(type);
  if (!dtype) importer.refuse("a cast to {} is not supported", name_of(type));
  if (type == OnnxType::boolean) {
    Tensor result = Tensor::empty(x.shape(), DType::u8);
    const Tensor wide = x.to(DType::f64);
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      result.data<std::uint8_t>()[i] = std::as_const(wide).data<double>()[i] != 0 ? 1 : 0;
    }
    return result;
  }
  if (type == OnnxType::float16 || type == OnnxType::bfloat16) return rounded(x, type);
  if (is_real(x.dtype()) && !is_real(*dtype)) {
    const Tensor wide = x.to(DType::f64);
    Tensor result = Tensor::empty(x.shape(), DType::i64);
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const double value = std::as_const(wide).data<double>()[i];
      if (!(std::abs(value) < 0x1p63)) importer.refuse("the value {} is no integer", value);
      result.data<std::int64_t>()[i] = static_cast<std::int64_t>(value);
    }
    return result.to(*dtype);
  }
  return x.to(*dtype);
}

Tensor fold_reshape(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& x = given(importer, inputs, 0);
  return x.reshape(reshape_target(importer, x.shape(), list_of(importer, inputs, 1),
                                  importer.attribute("allowzero", std::int64_t{0}) != 0));
}

Tensor fold_flatten(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& x = given(importer, inputs, 0);
  const std::int64_t axis = importer.attribute("axis", std::int64_t{1});
  const std::int64_t at = axis == x.rank() ? axis : importer.dimension(axis, x.rank());
  const std::int64_t columns = x.shape().drop(static_cast<int>(at)).numel();
  std::int64_t rows = 1;
  for (int d = 0; d < at; ++d) rows *= x.dim(d);
  return x.reshape({rows, columns});
}

Tensor fold_squeeze(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& x = given(importer, inputs, 0);
  return x.reshape(squeezed(importer, x.shape(), axes_of(importer)));
}

Tensor fold_unsqueeze(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& x = given(importer, inputs, 0);
  const auto axes = axes_of(importer);
  if (!axes) importer.refuse("its axes are missing");
  return x.reshape(unsqueezed(importer, x.shape(), *axes));
}

Tensor fold_expand(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& x = given(importer, inputs, 0);
  const auto dims = list_of(importer, inputs, 1);
  const Shape shape =
      broadcast_shape(importer, x.shape(), Shape(std::span<const std::int64_t>(dims)));
  check_size(importer, shape, x.numel());
  return repeated(x, shape);
}

Tensor fold_transpose(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& x = given(importer, inputs, 0);
  const auto rank = static_cast<std::size_t>(x.rank());
  std::vector<std::int64_t> order(rank);
  std::iota(order.rbegin(), order.rend(), 0);
  order = importer.attribute("perm", order);
  std::vector<std::int64_t> sorted = order, strides(rank, 1), dims(rank);
  std::ranges::sort(sorted);
  for (std::size_t d = 0; d < rank; ++d) {
    if (order.size() != rank || sorted[d] != static_cast<std::int64_t>(d)) {
      importer.refuse("its perm names no order of {} dimensions", rank);
    }
    dims[d] = x.dim(static_cast<int>(order[d]));
  }
  for (std::size_t d = rank; d-- > 1;) {
    strides[d - 1] = strides[d] * x.dim(static_cast<int>(d));
  }
  return picked(x, Shape(std::span<const std::int64_t>(dims)), [&](std::int64_t i) {
    std::int64_t place = 0;
    for (std::size_t d = rank; d-- > 0;) {
      place += i % dims[d] * strides[static_cast<std::size_t>(order[d])];
      i /= dims[d];
    }
    return place;
  });
}

Tensor fold_concat(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& first = given(importer, inputs, 0);
  const std::int64_t axis =
      importer.dimension(importer.attribute("axis", std::int64_t{0}), first.rank());
  const int d = static_cast<int>(axis);
  std::int64_t whole = 0, outer = 1;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& part = given(importer, inputs, i);
    if (part.dtype() != first.dtype() || part.rank() != first.rank() ||
        part.shape().with(d, 0) != first.shape().with(d, 0)) {
      importer.refuse("its inputs {} and {} do not fit side by side", first.shape().str(),
                      part.shape().str());
    }
    whole += part.dim(d);
  }
  for (int k = 0; k < d; ++k) outer *= first.dim(k);
  Tensor result = Tensor::empty(first.shape().with(d, whole), first.dtype());
  auto* to = static_cast<std::byte*>(result.raw());
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const Tensor& part : inputs) {
      const std::size_t bytes = part.bytes() / static_cast<std::size_t>(outer);
      const auto* const from = static_cast<const std::byte*>(part.raw());
      to = std::copy_n(from + static_cast<std::size_t>(o) * bytes, bytes, to);
    }
  }
  return result;
}

Tensor fold_gather(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor& x = given(importer, inputs, 0);
  const auto indices = list_of(importer, inputs, 1);
  const int d =
      static_cast<int>(importer.dimension(importer.attribute("axis", std::int64_t{0}), x.rank()));
  std::vector<std::int64_t> dims;
  std::int64_t inner = 1;
  for (int k = 0; k < d; ++k) dims.push_back(x.dim(k));
  for (const std::int64_t extent : inputs[1].shape().dims()) dims.push_back(extent);
  for (int k = d + 1; k < x.rank(); ++k) {
    dims.push_back(x.dim(k));
    inner *= x.dim(k);
  }
  const Shape shape{std::span<const std::int64_t>(dims)};
  check_size(importer, shape, x.numel());
  const auto count = static_cast<std::int64_t>(indices.size());
  return picked(x, shape, [&](std::int64_t i) {
    const std::int64_t index = indices[static_cast<std::size_t>(i / inner % count)];
    if (index < -x.dim(d) || index >= x.dim(d)) {
      importer.refuse("its index {} is beyond {}", index, x.shape().str());
    }
    const std::int64_t at = index < 0 ? index + x.dim(d) : index;
    return (i / inner / count * x.dim(d) + at) * inner + i % inner;
  });
}

Tensor fold_slice(const Importer& importer, const std::vector<Tensor>& inputs) {
  Tensor x = given(importer, inputs, 0);
  const bool listed = importer.opset() >= 10;
  const auto list = [&](std::size_t i, const char* name) {
    return listed ? list_of(importer, inputs, i)
                  : importer.attribute(name, std::vector<std::int64_t>{});
  };
  const auto starts = list(1, "starts"), ends = list(2, "ends");
  std::vector<std::int64_t> axes(starts.size()), steps(starts.size(), 1);
  std::iota(axes.begin(), axes.end(), 0);
  if (listed ? importer.has(3) : importer.has_attribute("axes")) axes = list(3, "axes");
  if (listed && importer.has(4)) steps = list(4, "steps");
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size()) {
    importer.refuse("its starts, ends, axes and steps are not equally many");
  }
  for (std::size_t k = 0; k < starts.size(); ++k) {
    const int d = static_cast<int>(importer.dimension(axes[k], x.rank()));
    const std::int64_t extent = x.dim(d);
    const std::int64_t most = std::max<std::int64_t>(extent, 1);
    const std::int64_t step = std::clamp(steps[k], -most, most);
    if (step == 0) importer.refuse("a step is 0");
    const auto clamped = [&](std::int64_t at) {
      if (at < 0) at = at < -extent ? -1 : at + extent;
      if (step > 0) return std::clamp<std::int64_t>(at, 0, extent);
      return std::clamp<std::int64_t>(at, -1, extent - 1);
    };
    const std::int64_t first = clamped(starts[k]), last = clamped(ends[k]);
    const std::int64_t distance = step > 0 ? last - first : first - last;
    const std::int64_t pace = step > 0 ? step : -step;
    const std::int64_t count = distance <= 0 ? 0 : (distance + pace - 1) / pace;
    const std::int64_t inner = x.shape().drop(d + 1).numel();
    const Tensor from = x;
    x = picked(from, from.shape().with(d, count), [&](std::int64_t i) {
      const std::int64_t at = first + i / inner % count * step;
      return (i / inner / count * extent + at) * inner + i % inner;
    });
  }
  return x;
}

Tensor fold_where(const Importer& importer, const std::vector<Tensor>& inputs) {
  const Tensor &condition = given(importer, inputs, 0), &a = given(importer, inputs, 1),
               &b = given(importer, inputs, 2);
  if (condition.dtype() != DType::u8 || a.dtype() != b.dtype()) {
    importer.refuse("its inputs have element types that do not fit");
  }
  const Shape shape =
      broadcast_shape(importer, condition.shape(), broadcast_shape(importer, a.shape(), b.shape()));
  check_size(importer, shape, a.numel() + b.numel());
  const Tensor chosen = repeated(condition, shape);
  const Tensor left = repeated(a, shape), right = repeated(b, shape);
  Tensor result = left.clone();
  const std::size_t size = size_of(a.dtype());
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    if (std::as_const(chosen).data<std::uint8_t>()[i] != 0) continue;
    const auto at = static_cast<std::size_t>(i) * size;
    std::copy_n(static_cast<const std::byte*>(right.raw()) + at, size,
                static_cast<std::byte*>(result.raw()) + at);
  }
  return result;
}

Tensor fold_shape(const Importer& importer, const std::vector<Tensor>& inputs) {
  return shape_tensor(importer, given(importer, inputs, 0).shape());
}

constexpr std::array kFolders = {
    Folder{"Add", fold_add},
    Folder{"Cast", fold_cast},
    Folder{"Concat", fold_concat},
    Folder{"Constant", fold_constant},
    Folder{"ConstantOfShape", fold_constant_of_shape},
    Folder{"Div", fold_div},
    Folder{"Equal", fold_equal},
    Folder{"Expand", fold_expand},
    Folder{"Flatten", fold_flatten},
    Folder{"Floor", fold_floor},
    Folder{"Gather", fold_gather},
    Folder{"Identity", fold_identity},
    Folder{"Mul", fold_mul},
    Folder{"Neg", fold_neg},
    Folder{"Range", fold_range},
    Folder{"ReduceProd", fold_reduce_prod},
    Folder{"Reshape", fold_reshape},
    Folder{"Shape", fold_shape},
    Folder{"Slice", fold_slice},
    Folder{"Sqrt", fold_sqrt},
    Folder{"Squeeze", fold_squeeze},
    Folder{"Sub", fold_sub},
    Folder{"Transpose", fold_transpose},
    Folder{"Unsqueeze", fold_unsqueeze},
    Folder{"Where", fold_where},
};

}  // namespace

const Folder* find_folder(std::string_view type) {
  const auto* const row = std::ranges::find(kFolders, type, &Folder::type);
  return row == kFolders.end() ? nullptr : row;
}

}  // namespace evenkeel::deploy
