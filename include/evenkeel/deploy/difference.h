// How far two networks are from one another.
#pragma once

#include <cstdint>
#include <memory>

#include <evenkeel/core/shape.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::deploy {

/// Differences between the outputs of two networks in eval mode, over all inputs seen so far.
class OutputDifference {
 public:
  /// Keeps a copy of `reference` in double, as it is now.
  explicit OutputDifference(const nn::Module& reference);

  /// Compares with `network` on one batch [N, …] of any dtype, which gets it in its own; of padded
  /// sequences with their lengths.
  void add(nn::Module& network, const Tensor& x, const nn::Lengths& lengths = {});
  /// The same on `batches` batches of standard normal values: inputs that are normalized look so.
  void add_random(nn::Module& network, const Shape& sample, std::int64_t batch, int batches,
                  Layout layout, std::uint64_t seed = 0);

  std::int64_t samples() const { return samples_; }
  /// The largest |output| of the reference.
  double size() const { return size_; }
  /// The largest and the mean |difference|, as parts of size(); NaN where an output of either is
  /// NaN, which equals nothing.
  double largest() const;
  double mean() const;

 private:
  std::unique_ptr<nn::Module> reference_;
  std::int64_t samples_ = 0, values_ = 0;
  double size_ = 0, largest_ = 0, sum_ = 0;
};

}  // namespace evenkeel::deploy
