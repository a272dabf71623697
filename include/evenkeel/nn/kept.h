// What a layer keeps of its input for backward.
#pragma once

#include <memory>

#include <evenkeel/core/tensor.h>

namespace evenkeel::nn {

/// A tensor for later: itself, or where somebody said how it can be computed again
/// (Tensor::recomputation), that and not the memory.
class Kept {
 public:
  Kept() = default;
  explicit Kept(const Tensor& tensor);

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Layout layout() const { return layout_; }
  /// False for what was made from an undefined tensor.
  bool defined() const { return tensor_.defined() || again_ != nullptr; }
  /// The tensor, with the bits that it had. Computing it again takes memory: throws std::bad_alloc.
  Tensor tensor() const { return again_ != nullptr ? again_->tensor() : tensor_; }

 private:
  Tensor tensor_;
  std::shared_ptr<const Recomputation> again_;
  Shape shape_{0};
  DType dtype_ = DType::f32;
  Layout layout_ = Layout::channels_first;
};

}  // namespace evenkeel::nn
