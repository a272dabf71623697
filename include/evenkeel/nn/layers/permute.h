// Dimensions in another order.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/nn/layers/rearrangement.h>

namespace evenkeel::nn {

/// Dimension i of y is dimension dims[i] of x.
class Permute : public Cloneable<Permute, Rearrangement> {
 public:
  /// Throws UsageError unless dims are 0, 1, … in some order.
  explicit Permute(std::vector<std::int64_t> dims);

  std::string_view type() const override { return "Permute"; }
  Options options() const override { return {{"dims", dims_}}; }
  Shape output_shape(const Shape& input) const override;

  const std::vector<std::int64_t>& dims() const { return dims_; }

 protected:
  void move(const Tensor& x, Tensor& y) const override;
  void move_back(const Tensor& dy, Tensor& dx) const override;

 private:
  std::vector<std::int64_t> dims_;
};

}  // namespace evenkeel::nn
