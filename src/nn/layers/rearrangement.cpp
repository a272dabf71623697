#include "nn/layers/checks.h"
#include "nn/layers/offset_map.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/nn/layers/rearrangement.h>

namespace evenkeel::nn {

Tensor Rearrangement::forward(const Tensor& x) {
  const Shape shape = output_shape(x.shape());
  expect_float(*this, x);
  Tensor y = Tensor::empty(shape, x.dtype());
  move(x.to(Layout::channels_first), y);
  y = y.to(x.layout());
  if (recording()) saved_.push({x.shape(), x.dtype(), x.layout()});
  return y;
}

Tensor Rearrangement::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, output_shape(saved.input), saved.dtype, Layout::channels_first);
  Tensor dx = Tensor::empty(saved.input, saved.dtype);
  move_back(gradient, dx);
  dx = dx.to(saved.layout);
  saved_.pop();
  return dx;
}

}  // namespace evenkeel::nn
