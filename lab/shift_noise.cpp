#include "lab/shift_noise.h"

#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

constexpr std::uint64_t kStream = 0x73686966746e6f69;

/// y = factor·x + shift, both of the element's sample and channel; no shifts where they are empty.
Tensor mapped(const Tensor& x, const std::vector<float>& factors,
              const std::vector<float>& shifts) {
  const ChannelDims dims = channel_dims(x.shape(), "ShiftNoise");
  const bool last = x.rank() > 2 && x.layout() == Layout::channels_last;
  Tensor y = Tensor::like(x);
  const float* const in = x.data<float>();
  float* const out = y.data<float>();
  const std::int64_t step = last ? dims.c : 1, stride = last ? 1 : dims.s;
  for (std::int64_t n = 0; n < dims.n; ++n) {
    for (std::int64_t c = 0; c < dims.c; ++c) {
      const auto which = static_cast<std::size_t>(n * dims.c + c);
      const float factor = factors[which], shift = shifts.empty() ? 0.0F : shifts[which];
      const std::int64_t begin = n * dims.c * dims.s + c * stride;
      for (std::int64_t s = 0; s < dims.s; ++s) {
        out[begin + s * step] = factor * in[begin + s * step] + shift;
      }
    }
  }
  return y;
}

}  // namespace

ShiftNoise::ShiftNoise(ShiftNoiseOptions options) : options_(options) {
  // The stream's key and the number of forwards so far.
  register_buffer("random_state", Tensor::zeros({2}, DType::i64), /*exported=*/false);
}

void ShiftNoise::reset_parameters(Random& random) {
  buffer(0).span<std::int64_t>()[0] = static_cast<std::int64_t>(random.next_u32());
  buffer(0).span<std::int64_t>()[1] = 0;
}

ShiftNoise::Draw ShiftNoise::draw(const Shape& shape) {
  const auto state = buffer(0).span<std::int64_t>();
  const Random step = Random(static_cast<std::uint64_t>(state[0]), kStream)
                          .fork(static_cast<std::uint64_t>(state[1]++));
  Random centres = step.fork(0), samples = step.fork(1);
  const auto n = static_cast<std::size_t>(shape[0]), c = static_cast<std::size_t>(shape[1]);
  std::vector<double> factors(c), shifts(c);
  for (std::size_t i = 0; i < c; ++i) {
    factors[i] = centres.uniform(1, options_.scale);
    shifts[i] = centres.uniform(-options_.shift, options_.shift);
  }
  Draw result{std::vector<float>(n * c), std::vector<float>(n * c)};
  for (std::size_t i = 0; i < n * c; ++i) {
    const double a = samples.uniform(-options_.jitter, options_.jitter);
    const double b = samples.uniform(-options_.jitter, options_.jitter);
    result.factors[i] = static_cast<float>(factors[i % c] + a);
    result.shifts[i] = static_cast<float>(shifts[i % c] + b);
  }
  return result;
}

Tensor ShiftNoise::forward(const Tensor& x) {
  const std::int64_t pairs = x.dim(0) * x.dim(1);
  Draw noise;
  if (training()) {
    noise = draw(x.shape());
  } else {
    noise.factors.assign(static_cast<std::size_t>(pairs),
                         static_cast<float>((1 + options_.scale) / 2));
  }
  Tensor y = mapped(x, noise.factors, noise.shifts);
  if (recording()) saved_.push({x.shape(), std::move(noise.factors)});
  return y;
}

Tensor ShiftNoise::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  if (dy.shape() != saved.shape) {
    fail<ShapeError>("[{}] expected a gradient of shape {}, got {}", label(), saved.shape.str(),
                     dy.shape().str());
  }
  Tensor dx = mapped(dy, saved.factors, {});
  saved_.pop();
  return dx;
}

}  // namespace evenkeel::lab
