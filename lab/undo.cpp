#include "lab/undo.h"

#include <algorithm>
#include <cmath>

#include <evenkeel/core/random.h>

namespace evenkeel::lab {
namespace {

constexpr std::uint64_t kStream = 0x6964656e74697479;

}  // namespace

double relative_error(const Tensor& y, const Tensor& x) {
  const Tensor wide_y = y.to(DType::f64), wide_x = x.to(DType::f64);
  const double* const out = wide_y.data<double>();
  const double* const in = wide_x.data<double>();
  const std::int64_t n = x.dim(0), units = x.dim(1);
  double sum = 0;
  for (std::int64_t c = 0; c < units; ++c) {
    double wrong = 0, whole = 0;
    for (std::int64_t i = c; i < n * units; i += units) {
      wrong += (out[i] - in[i]) * (out[i] - in[i]);
      whole += in[i] * in[i];
    }
    sum += std::sqrt(wrong / whole);
  }
  return std::max(sum / static_cast<double>(units), 1e-20);
}

Tensor spread_samples(std::int64_t n, std::int64_t units, double offset, std::uint64_t seed) {
  Tensor x = Tensor::empty({n, units}, DType::f64);
  double* const values = x.data<double>();
  const Random random(seed, kStream);
  for (std::int64_t c = 0; c < units; ++c) {
    Random unit = random.fork(static_cast<std::uint64_t>(c));
    const double spread = std::pow(10.0, unit.uniform(-1, 1));
    const double mean = spread * (unit.uniform() < 0.5 ? -offset : offset);
    for (std::int64_t i = 0; i < n; ++i) values[i * units + c] = mean + spread * unit.normal();
  }
  return x;
}

void undo(nn::BatchNorm1d& layer, const Tensor& x) {
  const Tensor wide = x.to(DType::f64);
  const double* const values = wide.data<double>();
  const std::int64_t n = x.dim(0), units = x.dim(1);
  Tensor gamma = Tensor::empty({units}, DType::f64), beta = Tensor::empty({units}, DType::f64);
  for (std::int64_t c = 0; c < units; ++c) {
    double mean = 0, variance = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += values[i * units + c] / static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) {
      const double centred = values[i * units + c] - mean;
      variance += centred * centred / static_cast<double>(n);
    }
    gamma.data<double>()[c] = std::sqrt(variance + layer.settings().eps);
    beta.data<double>()[c] = mean;
  }
  for (const auto& [name, parameter] : layer.parameters()) {
    parameter->value.copy_from(name == "weight" ? gamma : beta);
  }
}

}  // namespace evenkeel::lab
