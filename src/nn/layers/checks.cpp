#include "nn/layers/checks.h"

#include <array>

#include <evenkeel/core/stored.h>

namespace evenkeel::nn {

std::string pattern_of(int spatial_rank, std::int64_t channels) {
  constexpr std::array<std::string_view, 3> kSpatial{"L", "H, W", "D, H, W"};
  return fmt::format("[N, {}, {}]", channels == 0 ? "C" : std::to_string(channels),
                     kSpatial[static_cast<std::size_t>(spatial_rank - 1)]);
}

void expect_spatial(const Module& layer, const Shape& x, int spatial_rank, std::int64_t channels) {
  const int rank = spatial_rank + 2;
  if (x.rank() == rank && (channels == 0 || x[1] == channels)) return;
  const std::string expected = pattern_of(spatial_rank, channels);
  if (x.rank() == rank) {
    fail<ShapeError>("[{}] expected {}, got {} with {} channels; let the layer before give {}",
                     layer.label(), expected, x.str(), x[1], channels);
  }
  fail<ShapeError>(
      "[{}] expected {}, got {}; {}", layer.label(), expected, x.str(),
      x.rank() == 2 ? std::string("put it before the Flatten, or reshape the input")
                    : fmt::format("reshape the input to rank {}, batch and channels first", rank));
}

void expect_dtype(const Module& layer, const Tensor& x, const Parameter& parameter) {
  const DType wanted = parameter.value.dtype();
  if (parameter_dtype(x.dtype()) == wanted) return;
  fail<ShapeError>("[{}] expected {} elements like the parameters, got {}; convert one with to()",
                   layer.label(), name_of(wanted), name_of(x.dtype()));
}

Tensor expect_gradient(const Module& layer, const Tensor& dy, const Shape& shape, DType dtype,
                       Layout layout) {
  if (!dy.defined() || dy.shape() != shape || dy.dtype() != dtype) {
    fail<ShapeError>("[{}] expected a gradient {} of {} like the output, got {} of {}",
                     layer.label(), shape.str(), name_of(dtype),
                     dy.defined() ? dy.shape().str() : std::string("none"), name_of(dy.dtype()));
  }
  return dy.to(layout);
}

void expect_at_least(std::string_view layer, std::string_view option, std::int64_t value,
                     std::int64_t least) {
  if (value >= least) return;
  fail<UsageError>("[{}] expected {} of at least {}, got {}", layer, option, least, value);
}

}  // namespace evenkeel::nn
