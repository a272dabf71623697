#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/flatten.h>

namespace evenkeel::nn {

Flatten::Flatten(FlattenOptions options) : options_(options) {
  if (options_.start_dim != 1 && options_.start_dim != 2) {
    fail<UsageError>("[Flatten] start_dim is 1 (to [N, C*H*W]) or 2 (to [N, C, H*W]), got {}",
                     options_.start_dim);
  }
}

Shape Flatten::output_shape(const Shape& input) const {
  if (input.rank() <= options_.start_dim) {
    fail<ShapeError>("[{}] expected {}, got {}; give it a batch", label(),
                     to_rows() ? "[N, C, ...]" : "[N, C, H, ...]", input.str());
  }
  if (to_rows()) return {input[0], input.drop(1).numel()};
  return {input[0], input[1], input.drop(1).drop(1).numel()};
}

Tensor Flatten::forward(const Tensor& x) {
  const Shape shape = output_shape(x.shape());
  Tensor y = (to_rows() ? x.to(Layout::channels_first) : x).reshape(shape);
  if (recording()) saved_.push({x.shape(), x.dtype(), x.layout()});
  return y;
}

Tensor Flatten::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Layout layout = to_rows() ? Layout::channels_first : saved.layout;
  Tensor dx = expect_gradient(*this, dy, output_shape(saved.input), saved.dtype, layout)
                  .reshape(saved.input)
                  .to(saved.layout);
  saved_.pop();
  return dx;
}

LayerRow flatten_row() {
  LayerRow row;
  row.name = "Flatten";
  row.help = "[N, C, H, W] to [N, C*H*W], or to [N, C, H*W]: start_dim (1, 2)";
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    return std::make_unique<Flatten>(FlattenOptions{options.get("start_dim", std::int64_t{1})});
  };
  const Options to_sequence{{"start_dim", std::int64_t{2}}};
  row.samples = {{{}, {2, 3, 2, 4}},
                 {{}, {3, 4}},
                 {to_sequence, {2, 3, 2, 4}},
                 {to_sequence, {2, 3, 2, 2, 3}}};
  return row;
}

}  // namespace evenkeel::nn
