// Operators that move elements or only rename their places.

#include <algorithm>
#include <limits>
#include <numeric>

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layers/mean.h>
#include <evenkeel/nn/layers/pad.h>
#include <evenkeel/nn/layers/permute.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/slice.h>

namespace evenkeel::deploy {
namespace {

std::vector<std::int64_t> zeros(int count) {
  return std::vector<std::int64_t>(static_cast<std::size_t>(count), 0);
}

}  // namespace

void build_identity(Importer& importer) { importer.set_output(0, importer.input(0)); }

/// 16-bit floats are f32 here: a cast among types that are held alike changes nothing.
void build_cast(Importer& importer) {
  const auto type = static_cast<OnnxType>(importer.attribute("to", std::int64_t{0}));
  if (held_as(type) != importer.dtype()) {
    importer.refuse("a cast of the network's values to {} is not supported", name_of(type));
  }
  importer.set_output(0, importer.input(0));
}

void build_shape(Importer& importer) {
  const Value& x = importer.input(0);
  Constants constants;
  for (std::size_t i = 0; i < kBatches; ++i) constants[i] = shape_tensor(importer, x.shapes[i]);
  importer.set_output(0, Importer::constant_value(std::move(constants), false));
}

void build_pad(Importer& importer) {
  const Value& x = importer.input(0);
  const int rank = x.shapes[0].rank();
  const bool inputs = importer.opset() >= 11;
  const std::vector<std::int64_t> pads =
      inputs ? importer.integers(1, "pads") : importer.attribute("pads", zeros(0));
  nn::PadOptions options;
  if (!inputs) options.value = importer.attribute("value", 0.0);
  if (inputs && importer.has(2)) {
    const Tensor value = importer.constant(2, "constant value");
    if (value.numel() != 1) importer.refuse("its constant value is no single number");
    options.value = value.to(DType::f64).item();
  }
  const std::string mode = importer.attribute("mode", std::string("constant"));
  if (mode == "reflect") {
    options.mode = nn::PadMode::reflect;
  } else if (mode == "edge") {
    options.mode = nn::PadMode::edge;
  } else if (mode != "constant") {
    importer.refuse("its mode {} is not supported", io::quote(mode));
  }
  std::vector<std::int64_t> axes(static_cast<std::size_t>(rank));
  std::iota(axes.begin(), axes.end(), 0);
  if (importer.has(3)) axes = importer.integers(3, "axes");
  if (pads.size() != 2 * axes.size()) {
    importer.refuse("it has {} pads for {} dimensions", pads.size(), axes.size());
  }
  std::vector<std::int64_t> before = zeros(rank), after = zeros(rank);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<std::size_t>(importer.dimension(axes[i], rank));
    before[d] = pads[i];
    after[d] = pads[axes.size() + i];
  }
  importer.set_output(0, importer.apply(nn::Pad(std::move(before), std::move(after), options), x));
}

void build_reduce_mean(Importer& importer) {
  const Value& x = importer.input(0);
  const int rank = x.shapes[0].rank();
  std::vector<std::int64_t> axes = axes_of(importer).value_or(zeros(0));
  if (axes.empty()) {
    if (importer.attribute("noop_with_empty_axes", std::int64_t{0}) != 0) {
      return build_identity(importer);
    }
    axes.resize(static_cast<std::size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
  }
  for (std::int64_t& axis : axes) axis = importer.dimension(axis, rank);
  std::ranges::sort(axes);
  const bool keep = importer.attribute("keepdims", std::int64_t{1}) != 0;
  bool spatial = rank > 2 && axes.size() + 2 == static_cast<std::size_t>(rank);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    spatial = spatial && axes[i] == static_cast<std::int64_t>(i) + 2;
  }
  if (spatial) {
    if (keep) return build_global_average_pool(importer);
    importer.set_output(0, importer.apply(nn::GlobalAvgPool(), x));
    return;
  }
  importer.set_output(0, importer.apply(nn::Mean(std::move(axes), {.keepdim = keep}), x));
}

void build_flatten(Importer& importer) {
  const Value& x = importer.input(0);
  const int rank = x.shapes[0].rank();
  const std::int64_t given = importer.attribute("axis", std::int64_t{1});
  const std::int64_t axis = given == rank ? given : importer.dimension(given, rank);
  importer.set_output(0, importer.reshaped(x, Importer::shapes_of([&](std::size_t i) {
                                             const Shape rest =
                                                 x.shapes[i].drop(static_cast<int>(axis));
                                             std::int64_t rows = 1;
                                             for (int d = 0; d < axis; ++d) rows *= x.shapes[i][d];
                                             return Shape{rows, rest.numel()};
                                           })));
}

void build_reshape(Importer& importer) {
  const Value& x = importer.input(0);
  const Value& target = importer.input(1);
  if (!target.is_constant()) importer.constant(1, "shape");  // refuses
  const bool zero = importer.attribute("allowzero", std::int64_t{0}) != 0;
  importer.set_output(0, importer.reshaped(x, Importer::shapes_of([&](std::size_t i) {
                                             return reshape_target(importer, x.shapes[i],
                                                                   integers_of(target.constant[i]),
                                                                   zero);
                                           })));
}

void build_squeeze(Importer& importer) {
  const Value& x = importer.input(0);
  const auto axes = axes_of(importer);
  importer.set_output(0, importer.reshaped(x, Importer::shapes_of([&](std::size_t i) {
                                             return squeezed(importer, x.shapes[i], axes);
                                           })));
}

void build_unsqueeze(Importer& importer) {
  const Value& x = importer.input(0);
  const auto axes = axes_of(importer);
  if (!axes) importer.refuse("its axes are missing");
  importer.set_output(0, importer.reshaped(x, Importer::shapes_of([&](std::size_t i) {
                                             return unsqueezed(importer, x.shapes[i], *axes);
                                           })));
}

void build_transpose(Importer& importer) {
  const Value& x = importer.input(0);
  std::vector<std::int64_t> order(static_cast<std::size_t>(x.shapes[0].rank()));
  std::iota(order.rbegin(), order.rend(), 0);
  std::vector<std::int64_t> dims = importer.attribute("perm", order);
  if (std::ranges::is_sorted(dims) && dims.size() == order.size()) return build_identity(importer);
  importer.set_output(0, importer.apply(nn::Permute(std::move(dims)), x));
}

void build_slice(Importer& importer) {
  Value x = importer.input(0);
  const int rank = x.shapes[0].rank();
  const bool inputs = importer.opset() >= 10;
  const auto list = [&](std::size_t index, const char* name) {
    return inputs ? importer.integers(index, name) : importer.attribute(name, zeros(0));
  };
  const auto starts = list(1, "starts"), ends = list(2, "ends");
  std::vector<std::int64_t> axes(starts.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (inputs ? importer.has(3) : importer.has_attribute("axes")) axes = list(3, "axes");
  std::vector<std::int64_t> steps(starts.size(), 1);
  if (inputs && importer.has(4)) steps = importer.integers(4, "steps");
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size()) {
    importer.refuse("its starts, ends, axes and steps are not equally many");
  }
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::int64_t axis = importer.dimension(axes[i], rank);
    if (starts[i] == 0 && steps[i] == 1 && ends[i] > std::numeric_limits<std::int32_t>::max() - 1) {
      continue;  // all of it
    }
    x = importer.apply(nn::Slice({axis, starts[i], ends[i], steps[i]}), x);
  }
  importer.set_output(0, std::move(x));
}

void build_split(Importer& importer) {
  const Value& x = importer.input(0);
  const std::int64_t axis =
      importer.dimension(importer.attribute("axis", std::int64_t{0}), x.shapes[0].rank());
  const std::int64_t extent = x.shapes[0][static_cast<int>(axis)];
  if (extent != x.shapes[1][static_cast<int>(axis)]) importer.refuse("it splits the batch");
  const auto count = static_cast<std::int64_t>(importer.node().outputs.size());
  if (count < 1) importer.refuse("it has no outputs");
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(count), (extent + count - 1) / count);
  sizes.back() = extent - (count - 1) * sizes.front();
  if (importer.opset() >= 13 && importer.has(1)) {
    sizes = importer.integers(1, "split");
  } else if (importer.opset() < 13) {
    sizes = importer.attribute("split", sizes);
  }
  std::int64_t sum = 0;
  for (const std::int64_t size : sizes) {
    if (size < 0 || size > extent || __builtin_add_overflow(sum, size, &sum)) {
      importer.refuse("one of its parts has {} elements", size);
    }
  }
  if (std::cmp_not_equal(sizes.size(), count) || sum != extent) {
    importer.refuse("its parts do not make up {}", extent);
  }
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::int64_t end = begin + sizes[i];
    if (importer.output_used(i)) {
      importer.set_output(i, importer.apply(nn::Slice({axis, begin, end, 1}), x));
    }
    begin = end;
  }
}

/// One element of a dimension, which goes.
void build_gather(Importer& importer) {
  const Value& x = importer.input(0);
  const int rank = x.shapes[0].rank();
  const std::int64_t axis = importer.dimension(importer.attribute("axis", std::int64_t{0}), rank);
  const Tensor indices = importer.constant(1, "indices");
  if (indices.numel() != 1 || indices.rank() > 1) {
    importer.refuse("only a single index is supported for values that depend on the input");
  }
  const std::int64_t extent = x.shapes[0][static_cast<int>(axis)];
  const std::int64_t index = importer.dimension(
      integers_of(indices)[0],
      static_cast<int>(std::min<std::int64_t>(extent, std::numeric_limits<int>::max())), "index");
  const Value part = importer.apply(nn::Slice({axis, index, index + 1, 1}), x);
  if (indices.rank() == 1) {
    importer.set_output(0, part);
    return;
  }
  importer.set_output(0, importer.reshaped(part, Importer::shapes_of([&](std::size_t i) {
                                             return squeezed(importer, part.shapes[i],
                                                             std::vector{axis});
                                           })));
}

void build_expand(Importer& importer) {
  const Value& x = importer.input(0);
  const Value& target = importer.input(1);
  if (!target.is_constant()) importer.constant(1, "shape");  // refuses
  for (std::size_t i = 0; i < kBatches; ++i) {
    const auto dims = integers_of(target.constant[i]);
    if (broadcast_shape(importer, x.shapes[i], Shape(std::span<const std::int64_t>(dims))) !=
        x.shapes[i]) {
      importer.refuse("repeating the network's values is not supported");
    }
  }
  importer.set_output(0, x);
}

}  // namespace evenkeel::deploy
