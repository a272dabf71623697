#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/flatten.h>

namespace evenkeel::nn {

Shape Flatten::output_shape(const Shape& input) const {
  if (input.rank() < 2) {
    fail<ShapeError>("[{}] expected [N, C, ...], got {}; give it a batch", label(), input.str());
  }
  return {input[0], input.drop(1).numel()};
}

Tensor Flatten::forward(const Tensor& x) {
  const Shape shape = output_shape(x.shape());
  Tensor y = x.to(Layout::channels_first).reshape(shape);
  if (recording()) saved_.push({x.shape(), x.dtype(), x.layout()});
  return y;
}

Tensor Flatten::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  Tensor dx =
      expect_gradient(*this, dy, output_shape(saved.input), saved.dtype, Layout::channels_first)
          .reshape(saved.input)
          .to(saved.layout);
  saved_.pop();
  return dx;
}

LayerRow flatten_row() {
  return {"Flatten",
          "[N, C, H, W] to [N, C*H*W]",
          [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<Flatten>(); },
          {{{}, {2, 3, 2, 4}}, {{}, {3, 4}}}};
}

}  // namespace evenkeel::nn
