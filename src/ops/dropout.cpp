#include <array>
#include <cmath>

#include "ops/check.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::ops {
namespace {

constexpr std::int64_t kPerCounter = 4;  // mask elements from one counter of the generator
constexpr std::int64_t kBlock = 1024;    // counters per task

void check_probability(const char* op, double p) {
  if (!(p >= 0.0 && p < 1.0)) {
    fail<UsageError>("[{}] expected a probability in [0, 1), got {}", op, p);
  }
}

void check_mask(const char* op, const Tensor& mask, const Tensor& x) {
  detail::check_defined(op, "mask", mask);
  if (mask.dtype() != DType::u8) {
    fail<ShapeError>("[{}] expected mask of type u8, got {}", op, name_of(mask.dtype()));
  }
  if (!(mask.shape() == x.shape()) || (x.rank() >= 3 && mask.layout() != x.layout())) {
    fail<ShapeError>("[{}] expected mask of shape {} in layout {}, got {} in {}", op,
                     x.shape().str(), name_of(x.layout()), mask.shape().str(),
                     name_of(mask.layout()));
  }
}

template <class T>
void apply_mask(const T* x, const std::uint8_t* mask, double p, T* y, std::int64_t begin,
                std::int64_t end) {
  using A = Arithmetic<T>;
  const A scale = static_cast<A>(1.0 / (1.0 - p));
#pragma GCC ivdep  // in place or apart
  for (std::int64_t i = begin; i < end; ++i) {
    y[i] = stored<T>(widened(x[i]) * (static_cast<A>(mask[i]) * scale));
  }
}

}  // namespace

void dropout_forward(const Tensor& x, double p, Random& random, Tensor& mask, Tensor& y) {
  const char* const op = "dropout_forward";
  detail::check_stored(op, "x", x);
  check_probability(op, p);
  check_mask(op, mask, x);
  detail::check_matches(op, "y", y, x);
  detail::check_in_place_or_apart(op, {"y", y}, {{"x", x}});
  detail::check_apart(op, {"mask", mask}, {{"x", x}, {"y", y}});
  const std::int64_t count = x.numel();
  const std::int64_t counters = (count + kPerCounter - 1) / kPerCounter;
  // A number below p·2^32 drops the element.
  const auto threshold = static_cast<std::uint64_t>(std::llround(p * 0x1.0p32));
  const std::uint64_t base = random.position();
  std::uint8_t* const kept = mask.data<std::uint8_t>();
  detail::visit_stored(x, [&](auto zero) {
    using T = decltype(zero);
    parallel_ranges(counters, kBlock, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto bits = random.block(base + static_cast<std::uint64_t>(i));
        const std::int64_t first = i * kPerCounter;
        for (std::int64_t k = 0; k < std::min(kPerCounter, count - first); ++k) {
          kept[first + k] = bits[static_cast<std::size_t>(k)] >= threshold ? 1 : 0;
        }
      }
      apply_mask(x.data<T>(), kept, p, y.data<T>(), begin * kPerCounter,
                 std::min(count, end * kPerCounter));
    });
  });
  random.set_position(base + static_cast<std::uint64_t>(counters));
}

void dropout_backward(const Tensor& dy, const Tensor& mask, double p, Tensor& dx) {
  const char* const op = "dropout_backward";
  detail::check_stored(op, "dy", dy);
  check_probability(op, p);
  check_mask(op, mask, dy);
  detail::check_matches(op, "dx", dx, dy);
  detail::check_in_place_or_apart(op, {"dx", dx}, {{"dy", dy}});
  detail::check_apart(op, {"dx", dx}, {{"mask", mask}});
  detail::visit_stored(dy, [&](auto zero) {
    using T = decltype(zero);
    parallel_ranges(dy.numel(), kBlock * kPerCounter, [&](std::int64_t begin, std::int64_t end) {
      apply_mask(dy.data<T>(), mask.data<std::uint8_t>(), p, dx.data<T>(), begin, end);
    });
  });
}

}  // namespace evenkeel::ops
