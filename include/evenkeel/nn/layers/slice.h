// A part of a tensor.
#pragma once

#include <cstdint>
#include <limits>

#include <evenkeel/nn/layers/rearrangement.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them.
struct SliceOptions {
  std::int64_t dim = 1;  ///< negative ones count from the end
  std::int64_t start = 0;
  std::int64_t end = std::numeric_limits<std::int64_t>::max();
  std::int64_t step = 1;  ///< never 0
};

/// Every step-th element of one dimension from start up to (or, for a negative step, down to) but
/// without end, as ONNX and Python count: negative ones from the end, and what lies beyond is cut.
class Slice : public Cloneable<Slice, Rearrangement> {
 public:
  /// Throws UsageError for a step of 0.
  explicit Slice(SliceOptions options = {});

  std::string_view type() const override { return "Slice"; }
  Options options() const override;
  Shape output_shape(const Shape& input) const override;

  const SliceOptions& settings() const { return options_; }

 protected:
  void move(const Tensor& x, Tensor& y) const override;
  void move_back(const Tensor& dy, Tensor& dx) const override;

 private:
  struct Range {
    int dim = 0;
    std::int64_t first = 0, count = 0;
  };
  Range range_of(const Shape& input) const;

  SliceOptions options_;
};

}  // namespace evenkeel::nn
