#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "optim/loops.h"
#include <evenkeel/core/error.h>
#include <evenkeel/optim/clip.h>

namespace evenkeel::optim {
namespace {

/// Σ g² of one range, in lanes whose order is fixed: short chains, and the compiler may use
/// vectors.
template <class T>
double square_sum(const T* g, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kLanes = 8;
  std::array<double, kLanes> lanes{};
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (std::int64_t k = 0; k < kLanes; ++k) {
      const auto value = static_cast<double>(g[i + k]);
      lanes[static_cast<std::size_t>(k)] += value * value;
    }
  }
  for (; i < end; ++i) lanes[0] += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  return std::accumulate(lanes.begin(), lanes.end(), 0.0);
}

double square_sum(const Tensor& gradient) {
  const std::int64_t count = gradient.numel();
  std::vector<double> sums(static_cast<std::size_t>((count + kRange - 1) / kRange));
  for_dtype(gradient.dtype(), [&](auto zero) {
    const auto* g = gradient.template data<decltype(zero)>();
    parallel_ranges(count, kRange, [&](std::int64_t begin, std::int64_t end) {
      sums[static_cast<std::size_t>(begin / kRange)] = square_sum(g, begin, end);
    });
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void scale(Tensor& gradient, double factor) {
  for_dtype(gradient.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* const g = gradient.template data<T>();
    const T f = static_cast<T>(factor);
    parallel_ranges(gradient.numel(), kRange, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) g[i] *= f;
    });
  });
}

}  // namespace

double gradient_norm(nn::Module& module) {
  double sum = 0;
  for (const auto& [name, parameter] : module.parameters()) {
    if (parameter->trainable) sum += square_sum(parameter->grad);
  }
  return std::sqrt(sum);
}

double clip_gradients(nn::Module& module, double max_norm) {
  if (!(max_norm > 0)) {
    fail<UsageError>("[clip] expected a largest gradient norm above 0, got {}", max_norm);
  }
  const double norm = gradient_norm(module);
  if (!std::isfinite(norm) || norm <= max_norm) return norm;
  const double factor = std::min(1.0, max_norm / (norm + 1e-6));
  for (const auto& [name, parameter] : module.parameters()) {
    if (parameter->trainable) scale(parameter->grad, factor);
  }
  return norm;
}

}  // namespace evenkeel::optim
