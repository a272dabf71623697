#include <array>
#include <cmath>
#include <utility>

#include "nn/layers/checks.h"
#include "nn/layers/forget.h"
#include "nn/layers/random_state.h"
#include "nn/layers/sequence_rows.h"
#include "nn/rollback.h"
#include <evenkeel/core/stored.h>
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/recurrent.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x526563757272;  // of the values a layer begins with

/// The columns of both directions side by side, and apart again.
Tensor beside(const Tensor& left, const Tensor& right) {
  Tensor both = Tensor::empty({left.dim(0), left.dim(1) + right.dim(1)}, left.dtype());
  const std::array parts{left, right};
  ops::concat_channels(parts, both);
  return both;
}

std::array<Tensor, 2> apart(const Tensor& both) {
  const Shape half{both.dim(0), both.dim(1) / 2};
  std::array parts{Tensor::empty(half, both.dtype()), Tensor::empty(half, both.dtype())};
  ops::split_channels(both, parts);
  return parts;
}

}  // namespace

struct Recurrent::Saved {
  Shape input;
  DType dtype;
  Layout layout;
  std::unique_ptr<const SequenceRows> rows;
  std::vector<std::unique_ptr<Pass>> passes;  // one per cell
  std::vector<Tensor> masks;                  // of dropout, one per layer but the last
};

Recurrent::Recurrent(std::string_view type, std::int64_t input_size, std::int64_t hidden_size,
                     std::int64_t gates, RecurrentOptions options)
    : input_(input_size), hidden_(hidden_size), gates_(gates), settings_(options) {
  expect_at_least(type, "input_size", input_, 1);
  expect_at_least(type, "hidden_size", hidden_, 1);
  expect_at_least(type, "num_layers", settings_.num_layers, 1);
  if (!(settings_.dropout >= 0 && settings_.dropout < 1)) {
    fail<UsageError>("[{}] expected 0 <= dropout < 1, got {}; it is the share set to zero", type,
                     settings_.dropout);
  }
  const std::int64_t directions = settings_.bidirectional ? 2 : 1;
  for (std::int64_t layer = 0; layer < settings_.num_layers; ++layer) {
    for (std::int64_t direction = 0; direction < directions; ++direction) {
      Cell cell;
      cell.suffix = fmt::format("_l{}{}", layer, direction == 0 ? "" : "_reverse");
      const std::int64_t from = layer == 0 ? input_ : directions * hidden_;
      const std::int64_t rows = gates_ * hidden_;
      const auto named = [&](const char* name, const Shape& shape, ParameterKind kind) {
        return register_parameter(name + cell.suffix, shape, kind);
      };
      cell.weight_ih = named("weight_ih", {rows, from}, ParameterKind::weight);
      cell.weight_hh = named("weight_hh", {rows, hidden_}, ParameterKind::weight);
      if (settings_.bias) {
        cell.bias_ih = named("bias_ih", {rows}, ParameterKind::bias);
        cell.bias_hh = named("bias_hh", {rows}, ParameterKind::bias);
      }
      cells_.push_back(std::move(cell));
    }
  }
  if (settings_.dropout > 0) {
    Tensor state = Tensor::zeros({3}, DType::i64);
    store_random(Random(0, kStream), state);
    random_ = register_buffer("random_state", std::move(state), /*exported=*/false);
  }
  Random random(0, kStream);
  Recurrent::reset_parameters(random);
}

Options Recurrent::options() const {
  return {{"input_size", input_},
          {"hidden_size", hidden_},
          {"num_layers", settings_.num_layers},
          {"bidirectional", settings_.bidirectional},
          {"bias", settings_.bias},
          {"dropout", settings_.dropout}};
}

void Recurrent::reset_parameters(Random& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden_));
  for (const Cell& cell : cells_) {
    init::uniform(parameter(cell.weight_ih).value, random, -bound, bound);
    init::uniform(parameter(cell.weight_hh).value, random, -bound, bound);
    if (!settings_.bias) continue;
    init::uniform(parameter(cell.bias_ih).value, random, -bound, bound);
    init::uniform(parameter(cell.bias_hh).value, random, -bound, bound);
  }
  if (settings_.dropout > 0) store_random(random.fork(kStream), buffer(random_));
}

Shape Recurrent::output_shape(const Shape& input) const {
  expect_sequences(*this, input, input_);
  return input.with(1, (settings_.bidirectional ? 2 : 1) * hidden_);
}

Tensor Recurrent::forward(const Tensor& x) {
  (void)output_shape(x.shape());
  expect_dtype(*this, x, parameter(cells_.front().weight_ih));
  auto saved = std::make_shared<Saved>();
  saved->rows = std::make_unique<const SequenceRows>(valid_steps(*this, x.shape()), x.dim(2),
                                                     RowOrder::by_step);
  saved->input = x.shape();
  saved->dtype = x.dtype();
  saved->layout = x.layout();
  check_run(*saved->rows);
  Rollback rollback(*this);
  const Tensor h = run_layers(*saved->rows, saved->rows->gather(x).to(parameter_dtype(x.dtype())),
                              recording() ? saved.get() : nullptr);
  Tensor y = saved->rows->scatter(h.to(x.dtype()), x.layout());
  if (recording()) saved_.push(std::move(saved));
  rollback.keep();
  return y;
}

Tensor Recurrent::run_layers(const SequenceRows& rows, Tensor x, Saved* saved) {
  const auto run_one = [&](std::size_t cell, const Tensor& input) {
    std::unique_ptr<Pass> pass;
    Tensor h = run(cell, rows, input, saved != nullptr ? &pass : nullptr);
    if (saved != nullptr) saved->passes.push_back(std::move(pass));
    return h;
  };
  for (std::size_t cell = 0; cell < cells_.size();) {
    Tensor h = run_one(cell++, x);
    if (settings_.bidirectional) h = beside(h, rows.reversed(run_one(cell++, rows.reversed(x))));
    x = cell < cells_.size() ? drop(h, saved) : h;
  }
  return x;
}

/// Dropout between layers; x where there is none now.
Tensor Recurrent::drop(const Tensor& x, Saved* saved) {
  if (!training() || settings_.dropout == 0) return x;
  Random random = load_random(buffer(random_));
  Tensor mask = Tensor::empty(x.shape(), DType::u8);
  Tensor y = Tensor::like(x);
  ops::dropout_forward(x, settings_.dropout, random, mask, y);
  store_random(random, buffer(random_));
  if (saved != nullptr) saved->masks.push_back(std::move(mask));
  return y;
}

Tensor Recurrent::backward(const Tensor& dy) {
  const std::shared_ptr<const Saved> saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, output_shape(saved->input), saved->dtype, saved->layout);
  Tensor dx = forget_on_failure(*this, [&] {
    const DType dtype = saved->dtype;
    const Tensor rows =
        run_layers_back(*saved, saved->rows->gather(gradient).to(parameter_dtype(dtype)));
    return needs_input_gradient() ? saved->rows->scatter(rows.to(dtype), saved->layout) : Tensor();
  });
  saved_.pop();
  return dx;
}

Tensor Recurrent::run_layers_back(const Saved& saved, Tensor dh) {
  const SequenceRows& rows = *saved.rows;
  for (std::size_t cell = cells_.size(); cell > 0;) {
    const bool first = cell == (settings_.bidirectional ? 2u : 1u);
    const bool wants_dx = !first || needs_input_gradient();
    const auto back = [&](Tensor gradient) {
      --cell;
      return run_back(cell, rows, *saved.passes[cell], std::move(gradient), wants_dx);
    };
    if (settings_.bidirectional) {
      auto [left, right] = apart(dh);
      const Tensor reversed = back(rows.reversed(right));
      dh = back(std::move(left));
      if (wants_dx) ops::accumulate(rows.reversed(reversed), dh);
    } else {
      dh = back(std::move(dh));
    }
    if (first || saved.masks.empty()) continue;
    const std::size_t layer = cell / (settings_.bidirectional ? 2 : 1);
    ops::dropout_backward(dh, saved.masks[layer - 1], settings_.dropout, dh);
  }
  return dh;
}

}  // namespace evenkeel::nn
