// The data of one piece of work, and what must come out of it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "candidate.h"
#include <evenkeel/core/tensor.h>

namespace evenkeel::bench {

enum class Family : std::uint8_t { batch_norm, layer_norm, group_norm, instance_norm };
enum class Operation : std::uint8_t { forward, backward, inference };

std::string_view name_of(Family family);
std::string_view name_of(Operation operation);

/// What is done to a problem's data.
struct Work {
  Family family = Family::batch_norm;
  Operation operation = Operation::forward;
  bool relu = false, add = false;  ///< the fused sum and activation
  int threads = 1;

  /// "forward+add+relu"
  std::string name() const;
  /// Tensors of the size of x that must be read or written at least: 2 forward, 3 backward, one
  /// more for the added branch or its gradient.
  double least_traffic() const;
};

struct ProblemSize {
  std::int64_t n = 0, c = 0, h = 1, w = 1;
  std::int64_t groups = 1;  ///< of group and instance norm; layer norm's rows are n samples of c
  std::int64_t s() const { return h * w; }
};

/// Inputs in both layouts. Values are of size 1, with another mean and spread in each channel.
class Problem {
 public:
  explicit Problem(const ProblemSize& size);

  const ProblemSize& size() const { return size_; }
  Shape shape() const { return {size_.n, size_.c, size_.h, size_.w}; }
  std::size_t bytes() const { return x(Layout::channels_first).bytes(); }
  const Tensor& x(Layout layout) const { return x_[index(layout)]; }
  const Tensor& dy(Layout layout) const { return dy_[index(layout)]; }
  const Tensor& add(Layout layout) const { return add_[index(layout)]; }
  std::vector<float> gamma, beta;
  std::vector<float> running_mean, running_var;  ///< what inference normalizes with
  static constexpr double kEps = 1e-5;

  /// Computed in double, at a sample of places and parameters.
  Expected expected(const Work& work) const;

 private:
  static std::size_t index(Layout layout) { return layout == Layout::channels_first ? 0 : 1; }

  ProblemSize size_;
  std::array<Tensor, 2> x_, dy_, add_;
};

/// The elements of `tensor` at places counted channels first.
std::vector<double> values_at(const Tensor& tensor, const std::vector<std::int64_t>& places);
std::vector<double> values_at(const float* values, const std::vector<std::int64_t>& numbers);

/// The largest error that is allowed, as a part of the size of what was summed (1 at least). Loose
/// for peers, whose float32 sums over millions of values are let through; what was found is
/// reported.
inline constexpr double kTolerance = 1e-3;
inline constexpr double kOwnTolerance = 1e-5;
/// The largest error of `actual`. Throws Error naming the candidate where it exceeds the tolerance.
double verify(const Candidate& candidate, const Expected& expected, const Actual& actual);

}  // namespace evenkeel::bench
