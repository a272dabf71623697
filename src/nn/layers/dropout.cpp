#include <bit>

#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x44726f706f7574;  // of a layer that was not initialized

void store(const Random& random, Tensor& state) {
  const auto values = state.span<std::int64_t>();
  values[0] = std::bit_cast<std::int64_t>(random.seed());
  values[1] = std::bit_cast<std::int64_t>(random.stream());
  values[2] = std::bit_cast<std::int64_t>(random.position());
}

Random load(const Tensor& state) {
  const auto values = state.span<std::int64_t>();
  Random random(std::bit_cast<std::uint64_t>(values[0]), std::bit_cast<std::uint64_t>(values[1]));
  random.set_position(std::bit_cast<std::uint64_t>(values[2]));
  return random;
}

}  // namespace

Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0 && p < 1)) {
    fail<UsageError>("[Dropout] expected 0 <= p < 1, got {}; p is the share set to zero", p);
  }
  Tensor state = Tensor::zeros({3}, DType::i64);
  store(Random(0, kStream), state);
  register_buffer("random_state", std::move(state), /*exported=*/false);
}

Tensor Dropout::forward(const Tensor& x) {
  Saved saved{x.shape(), x.dtype(), x.layout(), {}};
  Tensor y = x;
  if (training() && p_ > 0) {
    Random random = load(buffer(0));
    saved.mask = Tensor::empty(x.shape(), DType::u8, x.layout());
    y = Tensor::like(x);
    ops::dropout_forward(x, p_, random, saved.mask, y);
    store(random, buffer(0));
  }
  if (recording()) saved_.push(std::move(saved));
  return y;
}

Tensor Dropout::backward(const Tensor& dy) {
  const Saved saved = saved_.pop(*this);
  const Tensor gradient = expect_gradient(*this, dy, saved.shape, saved.dtype, saved.layout);
  if (!saved.mask.defined()) return gradient;
  Tensor dx = Tensor::like(gradient);
  ops::dropout_backward(gradient, saved.mask, p_, dx);
  return dx;
}

void Dropout::reset_parameters(Random& random) { store(random.fork(kStream), buffer(0)); }

LayerRow dropout_row() {
  return {"Dropout",
          "sets a share p of the values to zero in training and scales the rest: p",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<Dropout>(options.get("p", 0.5));
          },
          {{{}, {4, 6}}, {{{"p", 0.25}}, {2, 3, 2, 3}}}};
}

}  // namespace evenkeel::nn
