// Convolution of f32 tensors through oneDNN. The arguments have been checked.
#pragma once

#include <memory>

#include "ops/conv_geometry.h"
#include "ops/onednn/conv_post.h"

namespace evenkeel::ops::onednn {

/// Overwrites y; bias may be null.
void conv_forward(const ConvGeometry& g, const float* x, const float* weight, const float* bias,
                  float* y);
/// Overwrites dx.
void conv_backward_data(const ConvGeometry& g, const float* dy, const float* weight, float* dx);
/// Adds to dweight.
void conv_backward_weight(const ConvGeometry& g, const float* x, const float* dy, float* dweight);

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

/// Overwrites y; `addend` is what post.add wants apart from y, else null. Returns false, having done
/// nothing, where what post asks for would be slow.
[[nodiscard]] bool conv_frozen(const ConvGeometry& g, const float* x, const KeptWeight& weight, const float* bias,
                 const ConvPost& post, const float* addend, float* y);

}  // namespace evenkeel::ops::onednn
