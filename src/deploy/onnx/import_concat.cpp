// Values side by side, along any dimension and with constants beside them.

#include <algorithm>
#include <numeric>

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layers/elementwise.h>
#include <evenkeel/nn/layers/pad.h>
#include <evenkeel/nn/layers/permute.h>

namespace evenkeel::deploy {
namespace {

struct Parts {
  int rank = 0;
  std::int64_t axis = 0;
  std::vector<std::int64_t> extents;  ///< along the axis, of every input
  std::int64_t whole = 0;             ///< their sum
};

Parts parts_of(const Importer& importer) {
  Parts parts;
  parts.rank = importer.input(0).shapes[0].rank();
  if (parts.rank < 1 || !importer.has_attribute("axis")) importer.refuse("its axis is missing");
  parts.axis = importer.dimension(importer.attribute("axis", std::int64_t{1}), parts.rank);
  const int d = static_cast<int>(parts.axis);
  const Shape first = importer.input(0).shapes[0];
  for (std::size_t i = 0; i < importer.input_count(); ++i) {
    const Shape& shape = importer.input(i).shapes[0];
    if (shape.rank() != parts.rank || shape.with(d, 0) != first.with(d, 0)) {
      importer.refuse("its inputs {} and {} do not fit side by side", first.str(), shape.str());
    }
    parts.extents.push_back(shape[d]);
    parts.whole += shape[d];
  }
  return parts;
}

/// x with dimension `axis` as its channels, and back.
Value exchanged(Importer& importer, const Value& x, std::int64_t axis) {
  std::vector<std::int64_t> dims(static_cast<std::size_t>(x.shapes[0].rank()));
  std::iota(dims.begin(), dims.end(), 0);
  std::swap(dims[static_cast<std::size_t>(axis)], dims[1]);
  return importer.apply(nn::Permute(std::move(dims)), x, "swap");
}

/// The values that are no constants, side by side. Graphs join channels: [n] is joined as [1, n].
Value joined(Importer& importer, const Parts& parts) {
  const bool list = parts.rank == 1;
  const bool other_axis = !list && parts.axis != 1;
  std::vector<Value> values;
  for (std::size_t i = 0; i < importer.input_count(); ++i) {
    Value part = importer.input(i);
    if (part.is_constant()) continue;
    if (list) {
      part = importer.reshaped(part, Importer::shapes_of([&](std::size_t k) {
                                 return Shape{1, part.shapes[k][0]};
                               }));
    }
    values.push_back(other_axis ? exchanged(importer, part, parts.axis) : std::move(part));
  }
  Value result = values.size() == 1 ? values[0] : importer.join(Importer::Join::concat, values);
  if (list) {
    return importer.reshaped(result, Importer::shapes_of([&](std::size_t k) {
                               return Shape{result.shapes[k].numel()};
                             }));
  }
  return other_axis ? exchanged(importer, result, parts.axis) : result;
}

struct Stretch {
  std::int64_t begin = 0, end = 0;
};

/// Where along the axis these values lie; refuses constants between them.
Stretch stretch_of(const Importer& importer, const Parts& parts) {
  Stretch stretch{-1, 0};
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < parts.extents.size(); ++i) {
    const std::int64_t end = begin + parts.extents[i];
    if (!importer.input(i).is_constant()) {
      if (stretch.begin >= 0 && stretch.end != begin) {
        importer.refuse("constants between other values are not supported");
      }
      if (stretch.begin < 0) stretch.begin = begin;
      stretch.end = end;
    }
    begin = end;
  }
  return stretch;
}

/// The constants in their places, zeros in those of the other values.
Tensor constants_of(const Importer& importer, const Parts& parts, const Shape& shape) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 22;
  if (shape.numel() > kLargest) {
    importer.refuse("its result {} is too large beside a constant", shape.str());
  }
  Tensor result = Tensor::zeros(shape, DType::f64);
  const std::int64_t inner = shape.drop(static_cast<int>(parts.axis) + 1).numel();
  const std::int64_t row = parts.whole * inner;
  const std::int64_t rows = row == 0 ? 0 : shape.numel() / row;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < parts.extents.size(); ++i) {
    const std::int64_t count = parts.extents[i] * inner;
    if (importer.input(i).is_constant()) {
      const Tensor given = importer.constant(i, "part").to(DType::f64);
      const double* const from = std::as_const(given).data<double>();
      for (std::int64_t r = 0; r < rows; ++r) {
        std::copy_n(from + r * count, count, result.data<double>() + r * row + begin);
      }
    }
    begin += count;
  }
  return result;
}

}  // namespace

/// Constants stand in for the zeros of a Pad around the other values.
void build_concat(Importer& importer) {
  const Parts parts = parts_of(importer);
  const Stretch stretch = stretch_of(importer, parts);
  Value values = joined(importer, parts);
  if (stretch.end - stretch.begin == parts.whole) {
    importer.set_output(0, std::move(values));
    return;
  }
  std::vector<std::int64_t> before(static_cast<std::size_t>(parts.rank), 0), after = before;
  before[static_cast<std::size_t>(parts.axis)] = stretch.begin;
  after[static_cast<std::size_t>(parts.axis)] = parts.whole - stretch.end;
  values = importer.apply(nn::Pad(std::move(before), std::move(after)), values, "pad");
  if (values.shapes[0] != values.shapes[1]) {
    importer.refuse("a constant beside values of a free batch is not supported");
  }
  const Tensor constants = constants_of(importer, parts, values.shapes[0]);
  nn::Shift shift(constants.shape(), {.learned = false});
  shift.load_state_dict({{"weight", constants}});
  importer.set_output(0, importer.apply(std::move(shift), values, "constant"));
}

}  // namespace evenkeel::deploy
