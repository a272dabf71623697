#include "nn/layers/checks.h"
#include "nn/layers/random_state.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x44726f706f7574;  // of a layer that was not initialized

}  // namespace

Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0 && p < 1)) {
    fail<UsageError>("[Dropout] expected 0 <= p < 1, got {}; p is the share set to zero", p);
  }
  Tensor state = Tensor::zeros({3}, DType::i64);
  store_random(Random(0, kStream), state);
  register_buffer("random_state", std::move(state), /*exported=*/false);
}

Tensor Dropout::forward(const Tensor& x) {
  Saved saved{x.shape(), x.dtype(), x.layout(), {}};
  Tensor y = x;
  if (training() && p_ > 0) {
    Random random = load_random(buffer(0));
    saved.mask = Tensor::empty(x.shape(), DType::u8, x.layout());
    y = Tensor::like(x);
    ops::dropout_forward(x, p_, random, saved.mask, y);
    if (recording()) saved_.make_room();
    store_random(random, buffer(0));
  }
  if (recording()) saved_.push(std::move(saved));
  return y;
}

Tensor Dropout::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  Tensor dx = expect_gradient(*this, dy, saved.shape, saved.dtype, saved.layout);
  if (saved.mask.defined()) {
    const Tensor gradient = std::exchange(dx, Tensor::like(dx));
    ops::dropout_backward(gradient, saved.mask, p_, dx);
  }
  saved_.pop();
  return dx;
}

void Dropout::reset_parameters(Random& random) { store_random(random.fork(kStream), buffer(0)); }

LayerRow dropout_row() {
  return {"Dropout",
          "sets a share p of the values to zero in training and scales the rest: p",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<Dropout>(options.get("p", 0.5));
          },
          {{{}, {4, 6}}, {{{"p", 0.25}}, {2, 3, 2, 3}}}};
}

}  // namespace evenkeel::nn
