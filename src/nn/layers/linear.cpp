#include <cmath>

#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/ops/linear.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x4c696e656172;  // of the values a layer begins with

}  // namespace

Linear::Linear(std::int64_t in_features, std::int64_t out_features, LinearOptions options)
    : in_(in_features), out_(out_features), options_(options) {
  expect_at_least("Linear", "in_features", in_, 1);
  expect_at_least("Linear", "out_features", out_, 1);
  register_parameter("weight", {out_, in_}, ParameterKind::weight);
  if (options_.bias) register_parameter("bias", {out_}, ParameterKind::bias);
  Random random(0, kStream);
  Linear::reset_parameters(random);
}

Options Linear::options() const {
  return {{"in_features", in_}, {"out_features", out_}, {"bias", options_.bias}};
}

Parameter& Linear::bias() {
  if (!options_.bias) fail<UsageError>("[{}] has no bias; build it with bias", label());
  return parameter(1);
}

Shape Linear::output_shape(const Shape& input) const {
  if (input.rank() == 2 && input[1] == in_) return {input[0], out_};
  if (input.rank() > 2) {
    const std::int64_t features = input.drop(1).numel();
    fail<ShapeError>("[{}] expected [N, {}], got {}; put a Flatten before it{}", label(), in_,
                     input.str(),
                     features == in_ ? std::string()
                                     : fmt::format(" and make it Linear({}, {})", features, out_));
  }
  if (input.rank() == 2) {
    fail<ShapeError>("[{}] expected [N, {}], got {}; make it Linear({}, {}) or change its input",
                     label(), in_, input.str(), input[1], out_);
  }
  fail<ShapeError>("[{}] expected [N, {}], got {}; give it a batch, [1, {}] for one sample",
                   label(), in_, input.str(), in_);
}

Tensor Linear::forward(const Tensor& x) {
  const Shape shape = output_shape(x.shape());
  expect_dtype(*this, x, weight());
  Tensor y = Tensor::empty(shape, x.dtype());
  const Tensor none;
  ops::linear_forward(x, weight().value, options_.bias ? bias().value : none, y);
  if (recording()) saved_.push(Kept(x));
  return y;
}

Tensor Linear::backward(const Tensor& dy) {
  const Kept& kept = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, output_shape(kept.shape()), kept.dtype(), Layout::channels_first);
  const Tensor x = kept.tensor();
  Tensor dx;
  if (needs_input_gradient()) {
    dx = Tensor::like(x);
    ops::linear_backward_data(gradient, weight().value, dx);
  }
  Tensor none;
  ops::linear_backward_weight(x, gradient, weight().grad, options_.bias ? bias().grad : none);
  saved_.pop();
  return dx;
}

void Linear::reset_parameters(Random& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(in_));
  init::uniform(weight().value, random, -bound, bound);
  if (options_.bias) init::uniform(bias().value, random, -bound, bound);
}

LayerRow linear_row() {
  return {"Linear",
          "fully connected: in_features, out_features, bias",
          [](const Options& options) -> std::unique_ptr<Module> {
            const std::int64_t in = options.require_int("in_features", "Linear");
            const std::int64_t out = options.require_int("out_features", "Linear");
            return std::make_unique<Linear>(in, out,
                                            LinearOptions{.bias = options.get("bias", true)});
          },
          {{{{"in_features", std::int64_t{5}}, {"out_features", std::int64_t{3}}}, {4, 5}},
           {{{"in_features", std::int64_t{3}}, {"out_features", std::int64_t{1}}, {"bias", false}},
            {2, 3}}}};
}

}  // namespace evenkeel::nn
