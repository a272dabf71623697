// The same elements in another shape.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/nn/layers/rearrangement.h>

namespace evenkeel::nn {

/// y has the elements of x in their logical order N, C, H, W. An extent of −1 is what is left for
/// it; with `copies` as by default, an extent of 0 is that of x's dimension at the same place.
class Reshape : public Cloneable<Reshape, Rearrangement> {
 public:
  /// Throws UsageError for extents below −1, or more than one −1.
  explicit Reshape(std::vector<std::int64_t> shape, bool copies = true);

  std::string_view type() const override { return "Reshape"; }
  Options options() const override { return {{"shape", shape_}, {"copies", copies_}}; }
  /// Throws ShapeError where the elements do not fit.
  Shape output_shape(const Shape& input) const override;

  const std::vector<std::int64_t>& shape() const { return shape_; }
  bool copies() const { return copies_; }

 protected:
  void move(const Tensor& x, Tensor& y) const override { y = x.reshape(y.shape()); }
  void move_back(const Tensor& dy, Tensor& dx) const override { dx = dy.reshape(dx.shape()); }

 private:
  std::vector<std::int64_t> shape_;
  bool copies_;
};

}  // namespace evenkeel::nn
