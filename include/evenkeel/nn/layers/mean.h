// Means over dimensions.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/nn/layers/rearrangement.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them.
struct MeanOptions {
  bool keepdim = false;  ///< the dimensions stay, with extent 1
};

/// The mean over the named dimensions; negative ones count from the end.
class Mean : public Cloneable<Mean, Rearrangement> {
 public:
  explicit Mean(std::vector<std::int64_t> dims, MeanOptions options = {});

  std::string_view type() const override { return "Mean"; }
  Options options() const override { return {{"dims", dims_}, {"keepdim", options_.keepdim}}; }
  /// Throws ShapeError for dimensions that are not there or are empty.
  Shape output_shape(const Shape& input) const override;

  const std::vector<std::int64_t>& dims() const { return dims_; }
  const MeanOptions& settings() const { return options_; }

 protected:
  void move(const Tensor& x, Tensor& y) const override;
  void move_back(const Tensor& dy, Tensor& dx) const override;

 private:
  /// x's shape with 1 where the mean is taken.
  Shape reduced(const Shape& input) const;

  std::vector<std::int64_t> dims_;
  MeanOptions options_;
};

}  // namespace evenkeel::nn
