#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/mean.h>

namespace evenkeel::nn {

Mean::Mean(std::vector<std::int64_t> dims, MeanOptions options)
    : dims_(std::move(dims)), options_(options) {
  if (dims_.empty()) fail<UsageError>("[Mean] expected at least one dimension");
}

Shape Mean::reduced(const Shape& input) const {
  Shape result = input;
  const std::int64_t rank = input.rank();
  for (const std::int64_t d : dims_) {
    const int at = static_cast<int>(d < 0 ? d + rank : d);
    if (d < -rank || d >= rank) {
      fail<ShapeError>("[{}] there is no dimension {} in {}", label(), d, input.str());
    }
    if (input[at] == 0) {
      fail<ShapeError>("[{}] expected something to average in dimension {}, got {}", label(), d,
                       input.str());
    }
    result = result.with(at, 1);
  }
  return result;
}

Shape Mean::output_shape(const Shape& input) const {
  const Shape kept = reduced(input);
  if (options_.keepdim) return kept;
  std::vector<bool> gone(static_cast<std::size_t>(input.rank()), false);
  for (const std::int64_t d : dims_) {
    gone[static_cast<std::size_t>(d < 0 ? d + input.rank() : d)] = true;
  }
  std::vector<std::int64_t> dims;
  for (int d = 0; d < input.rank(); ++d) {
    if (!gone[static_cast<std::size_t>(d)]) dims.push_back(input[d]);
  }
  return Shape(std::span<const std::int64_t>(dims));
}

void Mean::move(const Tensor& x, Tensor& y) const {
  const Shape kept = reduced(x.shape());
  Tensor sums = y.reshape(kept);
  if (y.numel() == 0) return;
  const auto count = static_cast<double>(x.numel() / kept.numel());
  sum_elements(OffsetMap::broadcast(x.shape(), kept), x, 1 / count, sums);
}

void Mean::move_back(const Tensor& dy, Tensor& dx) const {
  const Shape kept = reduced(dx.shape());
  if (dx.numel() == 0) return;
  const auto count = static_cast<double>(dx.numel() / kept.numel());
  take_elements(OffsetMap::broadcast(dx.shape(), kept), dy.reshape(kept), 0, dx);
  with_dtype(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (T& value : dx.span<T>()) value = stored<T>(in_double(value) / count);
  });
}

LayerRow mean_row() {
  return {"Mean",
          "the mean over dimensions: dims, keepdim",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<Mean>(options.get("dims", std::vector<std::int64_t>{}),
                                          MeanOptions{options.get("keepdim", false)});
          },
          {{{{"dims", std::vector<std::int64_t>{2, 3}}}, {2, 3, 2, 3}},
           {{{"dims", std::vector<std::int64_t>{1, -1}}, {"keepdim", true}}, {2, 3, 2, 3}}}};
}

}  // namespace evenkeel::nn
