#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/stored.h>
#include <evenkeel/nn/layers/time_pool.h>

namespace evenkeel::nn {
namespace {

/// Where the values of one channel of one sequence lie.
struct Walk {
  std::int64_t begin, stride;
};

struct Geometry {
  std::int64_t channels, steps;
  Layout layout;

  Geometry(const Shape& x, Layout order) : channels(x[1]), steps(x[2]), layout(order) {}

  Walk walk(std::int64_t n, std::int64_t c) const {
    if (layout == Layout::channels_last) return {n * steps * channels + c, channels};
    return {(n * channels + c) * steps, 1};
  }
};

/// Zero where there are no steps.
double share_of(std::int64_t steps) { return steps > 0 ? 1 / static_cast<double>(steps) : 0; }

/// The step of channel c that LastStep shows, or −1.
std::int64_t shown_step(bool bidirectional, std::int64_t c, std::int64_t channels,
                        std::int64_t valid) {
  if (valid == 0) return -1;
  return bidirectional && c >= channels / 2 ? 0 : valid - 1;
}

}  // namespace

Shape MeanOverTime::output_shape(const Shape& input) const {
  expect_sequences(*this, input, 0);
  return {input[0], input[1]};
}

Tensor MeanOverTime::forward(const Tensor& x) {
  Tensor y = Tensor::empty(output_shape(x.shape()), x.dtype());
  expect_float(*this, x);
  const std::vector<std::int64_t> valid = valid_steps(*this, x.shape());
  const Geometry geometry(x.shape(), x.layout());
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    parallel_for(x.dim(0), geometry.channels * geometry.steps, [&](std::int64_t n) {
      const std::int64_t steps = valid[static_cast<std::size_t>(n)];
      for (std::int64_t c = 0; c < geometry.channels; ++c) {
        const auto [begin, stride] = geometry.walk(n, c);
        double sum = 0;
        for (std::int64_t t = 0; t < steps; ++t) sum += in_double(from[begin + t * stride]);
        to[n * geometry.channels + c] = stored<T>(sum * share_of(steps));
      }
    });
  });
  if (recording()) saved_.push({x.shape(), x.dtype(), x.layout(), valid});
  return y;
}

Tensor MeanOverTime::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, output_shape(saved.input), saved.dtype, Layout::channels_first);
  Tensor dx = Tensor::zeros(saved.input, saved.dtype, saved.layout);
  const Geometry geometry(saved.input, saved.layout);
  with_dtype(saved.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = gradient.data<T>();
    T* const to = dx.data<T>();
    parallel_for(saved.input[0], geometry.channels * geometry.steps, [&](std::int64_t n) {
      const std::int64_t steps = saved.valid[static_cast<std::size_t>(n)];
      for (std::int64_t c = 0; c < geometry.channels; ++c) {
        const auto [begin, stride] = geometry.walk(n, c);
        const T share = stored<T>(in_double(from[n * geometry.channels + c]) * share_of(steps));
        for (std::int64_t t = 0; t < steps; ++t) to[begin + t * stride] = share;
      }
    });
  });
  saved_.pop();
  return dx;
}

Shape LastStep::output_shape(const Shape& input) const {
  expect_sequences(*this, input, 0);
  if (options_.bidirectional && input[1] % 2 != 0) {
    fail<ShapeError>(
        "[{}] expected an even number of channels, half of them of each direction, got {}; put it "
        "behind a bidirectional layer, or leave out bidirectional",
        label(), input.str());
  }
  return {input[0], input[1]};
}

Tensor LastStep::forward(const Tensor& x) {
  Tensor y = Tensor::zeros(output_shape(x.shape()), x.dtype());
  expect_float(*this, x);
  const std::vector<std::int64_t> valid = valid_steps(*this, x.shape());
  const Geometry geometry(x.shape(), x.layout());
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    for (std::int64_t n = 0; n < x.dim(0); ++n) {
      for (std::int64_t c = 0; c < geometry.channels; ++c) {
        const std::int64_t t = shown_step(options_.bidirectional, c, geometry.channels,
                                          valid[static_cast<std::size_t>(n)]);
        const auto [begin, stride] = geometry.walk(n, c);
        if (t >= 0) to[n * geometry.channels + c] = from[begin + t * stride];
      }
    }
  });
  if (recording()) saved_.push({x.shape(), x.dtype(), x.layout(), valid});
  return y;
}

Tensor LastStep::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, output_shape(saved.input), saved.dtype, Layout::channels_first);
  Tensor dx = Tensor::zeros(saved.input, saved.dtype, saved.layout);
  const Geometry geometry(saved.input, saved.layout);
  with_dtype(saved.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = gradient.data<T>();
    T* const to = dx.data<T>();
    for (std::int64_t n = 0; n < saved.input[0]; ++n) {
      for (std::int64_t c = 0; c < geometry.channels; ++c) {
        const std::int64_t t = shown_step(options_.bidirectional, c, geometry.channels,
                                          saved.valid[static_cast<std::size_t>(n)]);
        const auto [begin, stride] = geometry.walk(n, c);
        if (t >= 0) to[begin + t * stride] = from[n * geometry.channels + c];
      }
    }
  });
  saved_.pop();
  return dx;
}

LayerRow mean_over_time_row() {
  return {
      "MeanOverTime",
      "[N, C, T] to [N, C], the mean over the valid steps",
      [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<MeanOverTime>(); },
      {{{}, {2, 3, 4}}, {{}, {3, 2, 1}}}};
}

LayerRow last_step_row() {
  return {"LastStep",
          "[N, C, T] to [N, C], the last valid step: bidirectional (where each direction ends)",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<LastStep>(
                LastStepOptions{.bidirectional = options.get("bidirectional", false)});
          },
          {{{}, {2, 3, 4}}, {{{"bidirectional", true}}, {3, 4, 2}}}};
}

}  // namespace evenkeel::nn
