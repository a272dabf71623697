#include <cstring>

#include "ops/check.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::ops {
namespace {

/// Throws unless the parts lie side by side in y.
void check_parts(const char* op, std::span<const Tensor> parts, const Tensor& y) {
  detail::check_defined(op, "y", y);
  const Shape& whole = y.shape();
  channel_dims(whole, op);
  std::int64_t channels = 0;
  for (const Tensor& part : parts) {
    detail::check_defined(op, "part", part);
    if (part.rank() != whole.rank()) {
      fail<ShapeError>("[{}] expected parts of rank {} like y {}, got {}", op, whole.rank(),
                       whole.str(), part.shape().str());
    }
    detail::check_is_laid_out(op, "part", part, whole.with(1, part.dim(1)), y);
    channels += part.dim(1);
  }
  if (channels != whole[1]) {
    fail<ShapeError>("[{}] expected y with the {} channels of its parts, got {}", op, channels,
                     whole.str());
  }
}

/// Calls copy(bytes in the part, bytes in y, count) for each contiguous run of each part.
template <class Copy>
void for_each_run(std::span<const Tensor> parts, const Tensor& y, Copy&& copy) {
  const auto [samples, channels, positions] = channel_dims(y.shape(), "concat");
  const auto element = static_cast<std::int64_t>(size_of(y.dtype()));
  const bool first = y.layout() == Layout::channels_first || y.rank() < 3;
  // In channels first a sample's channels are one run; in channels last each position's are.
  const std::int64_t rows = first ? samples : samples * positions;
  const std::int64_t width = first ? positions * element : element;
  if (rows == 0 || width == 0) return;
  parallel_for(rows, channels * width / element, [&, total = channels](std::int64_t row) {
    std::int64_t before = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::int64_t own = parts[i].dim(1);
      if (own != 0) {
        copy(i, row * own * width, (row * total + before) * width,
             static_cast<std::size_t>(own * width));
      }
      before += own;
    }
  });
}

}  // namespace

void concat_channels(std::span<const Tensor> parts, Tensor& y) {
  check_parts("concat_channels", parts, y);
  for (const Tensor& part : parts) {
    detail::check_apart("concat_channels", {"y", y}, {{"its parts", part}});
  }
  auto* const to = static_cast<std::byte*>(y.raw());
  for_each_run(parts, y, [&](std::size_t i, std::int64_t in, std::int64_t out, std::size_t bytes) {
    std::memcpy(to + out, static_cast<const std::byte*>(parts[i].raw()) + in, bytes);
  });
}

void split_channels(const Tensor& y, std::span<Tensor> parts) {
  check_parts("split_channels", parts, y);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    detail::check_apart("split_channels", {"each part", parts[i]}, {{"y", y}});
    for (std::size_t j = 0; j < i; ++j) {
      detail::check_apart("split_channels", {"each part", parts[i]}, {{"the others", parts[j]}});
    }
  }
  const auto* const from = static_cast<const std::byte*>(y.raw());
  for_each_run(parts, y, [&](std::size_t i, std::int64_t in, std::int64_t out, std::size_t bytes) {
    std::memcpy(static_cast<std::byte*>(parts[i].raw()) + in, from + out, bytes);
  });
}

}  // namespace evenkeel::ops
