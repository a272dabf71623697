// Convolution through oneDNN: feature maps of g.dtype, f32 or bf16, and f32 parameters. The
// arguments have been checked.
#pragma once

#include <memory>

#include "ops/conv_geometry.h"
#include "ops/onednn/conv_post.h"

namespace evenkeel::ops::onednn {

/// Overwrites y; bias may be null.
void conv_forward(const ConvGeometry& g, const void* x, const float* weight, const float* bias,
                  void* y);
/// Overwrites dx.
void conv_backward_data(const ConvGeometry& g, const void* dy, const float* weight, void* dx);
/// Adds to dweight.
void conv_backward_weight(const ConvGeometry& g, const void* x, const void* dy, float* dweight);

/// A weight that stays the same, in the formats in which it has been wanted so far.
class KeptWeight {
 public:
  explicit KeptWeight(const float* weight);
  ~KeptWeight();
  KeptWeight(const KeptWeight&) = delete;
  KeptWeight& operator=(const KeptWeight&) = delete;

 private:
  friend class KeptWeightUse;
  struct Formats;

  const float* weight_;
  std::unique_ptr<Formats> formats_;
};

/// Overwrites y; `addend` is what post.add wants apart from y, else null. Returns false, having
/// done nothing, where what post asks for would be slow.
[[nodiscard]] bool conv_frozen(const ConvGeometry& g, const void* x, const KeptWeight& weight,
                               const float* bias, const ConvPost& post, const void* addend,
                               void* y);

}  // namespace evenkeel::ops::onednn
