#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/pad.h>

namespace evenkeel::nn {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 40;  // of a pad: sums stay far from overflow

/// Where element i of a dimension comes from, kNowhere for the constant.
std::int64_t source(std::int64_t i, std::int64_t extent, PadMode mode) {
  if (i >= 0 && i < extent) return i;
  if (mode == PadMode::constant) return OffsetMap::kNowhere;
  if (mode == PadMode::edge) return i < 0 ? 0 : extent - 1;
  return i < 0 ? -i : 2 * (extent - 1) - i;
}

OffsetMap map_of(const Shape& x, const Shape& y, const std::vector<std::int64_t>& before,
                 PadMode mode) {
  const std::vector<std::int64_t> strides = strides_of(x);
  std::vector<OffsetMap::Table> tables;
  for (int d = 0; d < y.rank(); ++d) {
    const auto k = static_cast<std::size_t>(d);
    OffsetMap::Table table;
    for (std::int64_t i = 0; i < y[d]; ++i) {
      const std::int64_t from = source(i - before[k], x[d], mode);
      table.push_back(from == OffsetMap::kNowhere ? from : from * strides[k]);
    }
    tables.push_back(std::move(table));
  }
  return OffsetMap(std::move(tables));
}

}  // namespace

std::string_view name_of(PadMode mode) {
  constexpr std::array<std::string_view, 3> kNames{"constant", "reflect", "edge"};
  return kNames[static_cast<std::size_t>(mode)];
}

Pad::Pad(std::vector<std::int64_t> before, std::vector<std::int64_t> after, PadOptions options)
    : before_(std::move(before)), after_(std::move(after)), options_(options) {
  if (before_.size() != after_.size() || before_.size() > Shape::kMaxRank) {
    fail<UsageError>("[Pad] expected as many numbers before as after, at most {}, got {} and {}",
                     Shape::kMaxRank, before_.size(), after_.size());
  }
  for (const auto& list : {before_, after_}) {
    for (const std::int64_t n : list) {
      if (n > kLargest || n < -kLargest) fail<UsageError>("[Pad] {} is out of range", n);
    }
  }
}

Options Pad::options() const {
  return {{"before", before_},
          {"after", after_},
          {"mode", std::string(name_of(options_.mode))},
          {"value", options_.value}};
}

Shape Pad::output_shape(const Shape& input) const {
  if (input.rank() != static_cast<int>(before_.size())) {
    fail<ShapeError>("[{}] expected {} dimensions, got {}; give a pad for each", label(),
                     before_.size(), input.str());
  }
  Shape result = input;
  for (int d = 0; d < input.rank(); ++d) {
    const auto k = static_cast<std::size_t>(d);
    const std::int64_t extent = input[d] + before_[k] + after_[k];
    const std::int64_t widest = std::max(before_[k], after_[k]);
    const bool reaches = options_.mode == PadMode::constant || widest <= 0 ||
                         (options_.mode == PadMode::edge ? input[d] > 0 : widest < input[d]);
    if (extent < 0 || (extent == 0 && input[d] > 0) || !reaches) {
      fail<ShapeError>("[{}] pads of {} and {} do not fit dimension {} of {}", label(), before_[k],
                       after_[k], d, input.str());
    }
    result = result.with(d, extent);
  }
  return result;
}

void Pad::move(const Tensor& x, Tensor& y) const {
  take_elements(map_of(x.shape(), y.shape(), before_, options_.mode), x, options_.value, y);
}

void Pad::move_back(const Tensor& dy, Tensor& dx) const {
  sum_elements(map_of(dx.shape(), dy.shape(), before_, options_.mode), dy, 1, dx);
}

LayerRow pad_row() {
  const auto list = [](std::initializer_list<std::int64_t> values) {
    return std::vector<std::int64_t>(values);
  };
  return {
      "Pad",
      "elements around a tensor: before, after (per dimension, the batch's too), mode "
      "(constant, reflect, edge), value",
      [](const Options& options) -> std::unique_ptr<Module> {
        PadOptions rest;
        const std::string mode = options.get("mode", std::string("constant"));
        rest.value = options.get("value", 0.0);
        const std::vector<std::int64_t> none;
        const auto before = options.get("before", none), after = options.get("after", none);
        for (const PadMode known : {PadMode::constant, PadMode::reflect, PadMode::edge}) {
          if (mode != name_of(known)) continue;
          rest.mode = known;
          return std::make_unique<Pad>(before, after, rest);
        }
        fail<UsageError>("[Pad] mode is constant, reflect or edge, not '{}'", mode);
      },
      {{{{"before", list({0, 0, 1})}, {"after", list({0, 1, 2})}}, {2, 2, 3}},
       {{{"before", list({0, 0, 1, -1})}, {"after", list({0, 0, 0, 2})}, {"value", 1.5}},
        {2, 2, 3, 3}},
       {{{"before", list({0, 0, 2})}, {"after", list({0, 0, 1})}, {"mode", "reflect"}}, {2, 2, 3}},
       {{{"before", list({0, 1, 2})}, {"after", list({0, 0, 1})}, {"mode", "edge"}}, {2, 2, 3}}}};
}

}  // namespace evenkeel::nn
