#include <cmath>

#include "nn/layers/checks.h"
#include "nn/layers/forget.h"
#include "nn/layers/rows.h"
#include "nn/layers/step_rows.h"
#include <evenkeel/core/stored.h>
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/positional.h>
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/recurrent.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x506f736974696f6e;  // of the values a layer begins with

std::string name_of(PositionKind kind) {
  return kind == PositionKind::learned ? "learned" : "sinusoidal";
}

PositionKind kind_of(const std::string& name) {
  for (const PositionKind kind : {PositionKind::sinusoidal, PositionKind::learned}) {
    if (name == name_of(kind)) return kind;
  }
  fail<UsageError>("[PositionalEncoding] kind is sinusoidal or learned, not '{}'{}", name,
                   did_you_mean(name, {"sinusoidal", "learned"}));
}

}  // namespace

PositionalEncoding::PositionalEncoding(std::int64_t channels, PositionOptions options)
    : channels_(channels), options_(options) {
  expect_at_least("PositionalEncoding", "channels", channels_, 1);
  expect_at_least("PositionalEncoding", "max_steps", options_.max_steps, 1);
  if (!learned()) return;
  register_parameter("weight", {options_.max_steps, channels_}, ParameterKind::weight);
  Random random(0, kStream);
  PositionalEncoding::reset_parameters(random);
}

Options PositionalEncoding::options() const {
  Options result{{"channels", channels_}, {"kind", name_of(options_.kind)}};
  if (learned()) result.set("max_steps", options_.max_steps);
  return result;
}

void PositionalEncoding::reset_parameters(Random& random) {
  if (learned()) init::normal(parameter(0).value, random, 0, 0.02);
}

Shape PositionalEncoding::output_shape(const Shape& input) const {
  expect_sequences(*this, input, channels_);
  return input;
}

Tensor PositionalEncoding::position(std::int64_t step, DType dtype) const {
  if (learned()) return parameter(0).value.slice(step, step + 1);
  Tensor result = Tensor::empty({1, channels_}, DType::f64);
  for (std::int64_t c = 0; c < channels_; ++c) {
    const auto pair = static_cast<double>(c - c % 2);
    const double angle =
        static_cast<double>(step) / std::pow(10000.0, pair / static_cast<double>(channels_));
    result.data<double>()[c] = c % 2 == 0 ? std::sin(angle) : std::cos(angle);
  }
  return result.to(dtype);
}

Tensor PositionalEncoding::forward(const Tensor& x) {
  (void)output_shape(x.shape());
  expect_float(*this, x);
  if (learned()) expect_dtype(*this, x, parameter(0));
  auto rows = std::make_shared<const SequenceRows>(valid_steps(*this, x.shape()), x.dim(2),
                                                   RowOrder::by_step);
  const auto steps = static_cast<std::int64_t>(rows->spans().size());
  if (learned() && steps > options_.max_steps) {
    fail<ShapeError>(
        "[{}] expected sequences of at most {} steps, for which it has positions, got one of {}; "
        "raise max_steps, or use kind = \"sinusoidal\"",
        label(), options_.max_steps, steps);
  }
  Tensor sums = rows->gather(x).to(parameter_dtype(x.dtype()));
  for_each_step(*rows, [&](const Step& step) {
    Tensor now = step.of(sums);
    Tensor positions = Tensor::like(now);
    ops::broadcast_rows(position(step.number, sums.dtype()).reshape({channels_}), positions);
    ops::accumulate(positions, now);
  });
  Tensor y = rows->scatter(sums.to(x.dtype()), x.layout());
  if (recording()) saved_.push({x.shape(), x.dtype(), x.layout(), std::move(rows)});
  return y;
}

Tensor PositionalEncoding::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor gradient = expect_gradient(*this, dy, saved.input, saved.dtype, saved.layout);
  const Tensor rows = saved.rows->gather(gradient);
  Tensor dx = saved.rows->scatter(rows, saved.layout);
  forget_on_failure(*this, [&] {
    if (learned()) add_weight_gradient(*saved.rows, rows.to(parameter_dtype(saved.dtype)));
  });
  saved_.pop();
  return dx;
}

void PositionalEncoding::add_weight_gradient(const SequenceRows& rows, const Tensor& dy) {
  for_each_step(rows, [&](const Step& step) {
    Tensor sums = parameter(0).grad.slice(step.number, step.number + 1).reshape({channels_});
    ops::accumulate_row_sums(step.of(dy), sums);
  });
}

LayerRow positional_encoding_row() {
  const std::int64_t channels = 3;
  LayerRow row;
  row.name = "PositionalEncoding";
  row.help =
      "adds to [N, C, T] what tells its steps apart: channels, kind (sinusoidal, learned), "
      "max_steps";
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    PositionOptions settings;
    settings.kind = kind_of(options.get("kind", name_of(settings.kind)));
    if (settings.kind == PositionKind::learned) {
      settings.max_steps = options.get("max_steps", settings.max_steps);
    }
    return std::make_unique<PositionalEncoding>(
        options.require_int("channels", "PositionalEncoding"), settings);
  };
  row.samples = {
      {{{"channels", channels}}, {2, 3, 4}},
      {{{"channels", channels}, {"kind", std::string("learned")}, {"max_steps", std::int64_t{5}}},
       {3, 3, 4}}};
  return row;
}

}  // namespace evenkeel::nn
