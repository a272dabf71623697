#include <evenkeel/nn/kept.h>

namespace evenkeel::nn {

Kept::Kept(const Tensor& tensor)
    : again_(tensor.recomputation()),
      shape_(tensor.shape()),
      dtype_(tensor.dtype()),
      layout_(tensor.layout()) {
  if (again_ == nullptr) tensor_ = tensor;
}

}  // namespace evenkeel::nn
