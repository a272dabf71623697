#include <algorithm>

#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/slice.h>

namespace evenkeel::nn {
namespace {

OffsetMap map_of(const Shape& x, int dim, std::int64_t first, std::int64_t count,
                 std::int64_t step) {
  const std::vector<std::int64_t> strides = strides_of(x);
  std::vector<OffsetMap::Table> tables;
  for (int d = 0; d < x.rank(); ++d) {
    const std::int64_t stride = strides[static_cast<std::size_t>(d)];
    OffsetMap::Table table;
    for (std::int64_t i = 0; i < (d == dim ? count : x[d]); ++i) {
      table.push_back((d == dim ? first + i * step : i) * stride);
    }
    tables.push_back(std::move(table));
  }
  return OffsetMap(std::move(tables));
}

}  // namespace

Slice::Slice(SliceOptions options) : options_(options) {
  if (options_.step == 0) fail<UsageError>("[Slice] expected a step that is not 0");
}

Options Slice::options() const {
  return {{"dim", options_.dim},
          {"start", options_.start},
          {"end", options_.end},
          {"step", options_.step}};
}

Slice::Range Slice::range_of(const Shape& input) const {
  const std::int64_t rank = input.rank();
  if (options_.dim < -rank || options_.dim >= rank) {
    fail<ShapeError>("[{}] there is no dimension {} in {}", label(), options_.dim, input.str());
  }
  Range range;
  range.dim = static_cast<int>(options_.dim < 0 ? options_.dim + rank : options_.dim);
  const std::int64_t extent = input[range.dim];
  const bool forward = options_.step > 0;
  const auto clamped = [&](std::int64_t at) {
    if (at < 0) at = at < -extent ? -1 - (forward ? -1 : 0) : at + extent;
    return forward ? std::clamp<std::int64_t>(at, 0, extent)
                   : std::clamp<std::int64_t>(at, -1, extent - 1);
  };
  range.first = clamped(options_.start);
  const std::int64_t distance =
      forward ? clamped(options_.end) - range.first : range.first - clamped(options_.end);
  // A step beyond the extent takes the first element alone.
  const std::int64_t most = std::max<std::int64_t>(extent, 1);
  const std::int64_t step =
      forward ? std::min(options_.step, most) : -std::max(options_.step, -most);
  range.count = distance <= 0 ? 0 : (distance + step - 1) / step;
  return range;
}

Shape Slice::output_shape(const Shape& input) const {
  const Range range = range_of(input);
  return input.with(range.dim, range.count);
}

void Slice::move(const Tensor& x, Tensor& y) const {
  const Range range = range_of(x.shape());
  const std::int64_t step = range.count > 1 ? options_.step : 1;
  take_elements(map_of(x.shape(), range.dim, range.first, range.count, step), x, 0, y);
}

void Slice::move_back(const Tensor& dy, Tensor& dx) const {
  const Range range = range_of(dx.shape());
  const std::int64_t step = range.count > 1 ? options_.step : 1;
  sum_elements(map_of(dx.shape(), range.dim, range.first, range.count, step), dy, 1, dx);
}

LayerRow slice_row() {
  const auto number = [](std::int64_t value) { return value; };
  return {"Slice",
          "a part of one dimension: dim, start, end, step",
          [](const Options& options) -> std::unique_ptr<Module> {
            SliceOptions rest;
            rest.dim = options.get("dim", rest.dim);
            rest.start = options.get("start", rest.start);
            rest.end = options.get("end", rest.end);
            rest.step = options.get("step", rest.step);
            return std::make_unique<Slice>(rest);
          },
          {{{{"start", number(1)}, {"end", number(3)}}, {2, 4, 3}},
           {{{"dim", number(-1)}, {"start", number(-1)}, {"end", number(-5)}, {"step", number(-2)}},
            {2, 3, 2, 4}}}};
}

}  // namespace evenkeel::nn
