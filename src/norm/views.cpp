#include <evenkeel/norm/views.h>

namespace evenkeel::norm {

ConstChannelView view(const Tensor& tensor) {
  const auto [n, c, s] = channel_dims(tensor.shape(), "batch_norm");
  return {tensor.raw(), tensor.dtype(), tensor.layout(), n, c, s};
}

ChannelView view(Tensor& tensor) {
  const auto [n, c, s] = channel_dims(tensor.shape(), "batch_norm");
  return {tensor.raw(), tensor.dtype(), tensor.layout(), n, c, s};
}

ConstVectorView::ConstVectorView(const Tensor& tensor) {
  if (!tensor.defined()) return;
  if (tensor.dtype() == DType::f32) {
    *this = ConstVectorView(tensor.span<float>());
  } else {
    *this = ConstVectorView(tensor.span<double>());
  }
}

VectorView::VectorView(Tensor& tensor) {
  if (!tensor.defined()) return;
  if (tensor.dtype() == DType::f32) {
    *this = VectorView(tensor.span<float>());
  } else {
    *this = VectorView(tensor.span<double>());
  }
}

}  // namespace evenkeel::norm
