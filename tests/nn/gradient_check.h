// Gradients of any module against central differences in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "nn/tensors.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::testing {

/// max |analytic − numeric| over max(1, the largest |gradient|), and where it was found. Infinite
/// where a gradient was not written, has the wrong shape, dtype or layout, or an argument was
/// changed.
struct GradientReport {
  double error = 0;
  std::string where = "nowhere";

  void note(double value, const std::string& place) {
    if (value <= error) return;
    error = std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
    where = place;
  }
};

/// Fills the memory that `step` will be handed with NaN: its allocations are counted in one run,
/// then the same sizes are taken, filled and given back to the cache.
inline void poison_memory_of(const std::function<void()>& step) {
  std::mutex mutex;
  std::vector<std::size_t> sizes;
  set_allocation_hook([&](std::size_t bytes) {
    const std::scoped_lock lock(mutex);
    sizes.push_back(bytes);
    return true;
  });
  step();
  set_allocation_hook({});
  std::vector<std::shared_ptr<std::byte>> buffers;
  for (const std::size_t bytes : sizes) {
    buffers.push_back(allocate(bytes));
    std::memset(buffers.back().get(), 0xFF, bytes);
  }
}

/// The check of one module at one input, which is f64. The scalar is L = Σ r⊙y with random r.
class GradientCheck {
 public:
  GradientCheck(nn::Module& module, const Tensor& x) : module_(module), x_(x.clone()) {
    module_.to(DType::f64);
    module_.keep_for_backward();
    for (const auto& [name, buffer] : module_.buffers()) buffers_.push_back(buffer->value.clone());
    const Tensor y = forward(x_);
    module_.clear_saved();
    weights_ = random_tensor(y.shape(), 99, DType::f64, y.layout());
  }

  GradientReport run() {
    poison_memory_of([&] {
      forward(x_.clone());
      module_.backward(weights_.clone());
    });
    std::vector<Tensor> start;
    for (const auto& [name, parameter] : module_.parameters()) {
      start.push_back(random_tensor(parameter->grad.shape(), 5 + start.size(), DType::f64));
      parameter->grad.copy_from(start.back());
    }
    const Tensor before = x_.clone();
    const Tensor upstream = weights_.clone();
    forward(x_);
    const Tensor dx = module_.backward(weights_);
    if (!identical(before, x_)) return {std::numeric_limits<double>::infinity(), "x was changed"};
    if (!identical(upstream, weights_)) {
      return {std::numeric_limits<double>::infinity(), "dy was changed"};
    }
    if (dx.shape() != x_.shape() || dx.dtype() != DType::f64 ||
        (x_.rank() > 2 && dx.layout() != x_.layout())) {
      return {std::numeric_limits<double>::infinity(), "dx is not like x"};
    }
    GradientReport report;
    compare(x_, dx, "dx", report);
    std::size_t i = 0;
    for (const auto& [name, parameter] : module_.parameters()) {
      Tensor gradient = parameter->grad.clone();
      for (std::int64_t k = 0; k < gradient.numel(); ++k) {
        gradient.data<double>()[k] -= start[i].data<double>()[k];
      }
      ++i;
      if (parameter->trainable) compare(parameter->value, gradient, name, report);
    }
    return report;
  }

 private:
  Tensor forward(const Tensor& x) {
    std::size_t i = 0;
    for (const auto& [name, buffer] : module_.buffers()) buffer->value.copy_from(buffers_[i++]);
    return module_.forward(x);
  }

  double loss() {
    const Tensor y = forward(x_);
    module_.clear_saved();
    double sum = 0;
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      sum += y.data<double>()[i] * weights_.data<double>()[i];
    }
    return sum;
  }

  /// Richardson's extrapolation of central differences of two step widths: the error of the steps
  /// is of fourth order, so that they can be wide enough for rounding to vanish.
  double numeric(double& value) {
    const double original = value;
    const auto central = [&](double step) {
      value = original + step;
      const double up = loss();
      value = original - step;
      const double down = loss();
      value = original;
      return (up - down) / (2 * step);
    };
    const double step = 2e-4 * std::max(1.0, std::abs(original));
    return (4 * central(step / 2) - central(step)) / 3;
  }

  void compare(Tensor variable, const Tensor& gradient, const std::string& name,
               GradientReport& report) {
    std::vector<double> wanted;
    double largest = 1;
    for (std::int64_t i = 0; i < variable.numel(); ++i) {
      wanted.push_back(numeric(variable.data<double>()[i]));
      largest = std::max(largest, std::abs(wanted.back()));
    }
    for (std::int64_t i = 0; i < variable.numel(); ++i) {
      const double difference =
          std::abs(gradient.data<double>()[i] - wanted[static_cast<std::size_t>(i)]);
      report.note(difference / largest, fmt::format("{}[{}]", name, i));
    }
  }

  nn::Module& module_;
  Tensor x_;
  Tensor weights_;
  std::vector<Tensor> buffers_;
};

inline GradientReport check_gradients(nn::Module& module, const Tensor& x) {
  return GradientCheck(module, x).run();
}

/// What the project promises of every gradient.
inline constexpr double kGradientTolerance = 1e-6;

}  // namespace evenkeel::testing
