#include <cstring>

#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/nn/layers/valid_steps.h>

namespace evenkeel::nn {
namespace {

/// A copy with zeros from valid[n] on.
Tensor without_padding(const Tensor& x, const std::vector<std::int64_t>& valid) {
  if (valid.empty()) return x;
  Tensor y = x.clone();
  const std::int64_t channels = y.dim(1), steps = y.dim(2);
  const bool last = y.layout() == Layout::channels_last;
  // Runs of memory over the steps, `width` values at each.
  const std::int64_t runs = last ? 1 : channels;
  const std::size_t width = size_of(y.dtype()) * static_cast<std::size_t>(last ? channels : 1);
  auto* p = static_cast<std::byte*>(y.raw());
  for (std::int64_t n = 0; n < y.dim(0); ++n) {
    const auto from = static_cast<std::size_t>(valid[static_cast<std::size_t>(n)]);
    for (std::int64_t run = 0; run < runs; ++run) {
      const std::size_t length = static_cast<std::size_t>(steps) * width;
      std::memset(p + from * width, 0, length - from * width);
      p += length;
    }
  }
  return y;
}

}  // namespace

Tensor ValidSteps::forward(const Tensor& x) {
  std::vector<std::int64_t> valid;
  if (x.rank() == 3 && lengths().given()) valid = valid_steps(*this, x.shape());
  Tensor y = without_padding(x, valid);
  if (recording()) saved_.push({x.shape(), x.dtype(), std::move(valid)});
  return y;
}

Tensor ValidSteps::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor dx = without_padding(
      expect_gradient(*this, dy, saved.shape, saved.dtype, dy.layout()), saved.valid);
  saved_.pop();
  return dx;
}

LayerRow valid_steps_row() {
  return {"ValidSteps",
          "zeros behind the end of padded sequences",
          [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<ValidSteps>(); },
          {{{}, {3, 4, 5}}}};
}

}  // namespace evenkeel::nn
