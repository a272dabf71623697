// Layers that add another tensor to their result before their activation.
#pragma once

#include <evenkeel/core/tensor.h>

namespace evenkeel::nn {

/// What a container that sums two branches hands one of them to, so that the sum costs no pass of
/// its own.
class TakesAddend {
 public:
  /// Lets the next forward add `other`, which it lets go of.
  virtual void set_addend(Tensor other) = 0;

 protected:
  ~TakesAddend() = default;
};

}  // namespace evenkeel::nn
