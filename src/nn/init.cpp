#include <cmath>

#include <evenkeel/core/error.h>
#include <evenkeel/nn/init.h>

namespace evenkeel::nn::init {
namespace {

double kaiming_deviation(const Tensor& weight, const KaimingOptions& options) {
  const Fans fans = fans_of(weight.shape());
  const auto fan = static_cast<double>(options.mode == FanMode::in ? fans.in : fans.out);
  return gain(options.nonlinearity, options.slope) / std::sqrt(fan);
}

double xavier_deviation(const Tensor& weight, double gain) {
  const Fans fans = fans_of(weight.shape());
  return gain * std::sqrt(2.0 / static_cast<double>(fans.in + fans.out));
}

/// A uniform distribution of this deviation has the bounds ±√3·deviation.
void uniform_of(Tensor& weight, Random& random, double deviation) {
  const double bound = std::sqrt(3.0) * deviation;
  uniform(weight, random, -bound, bound);
}

}  // namespace

Fans fans_of(const Shape& weight) {
  if (weight.rank() < 2) {
    fail<ShapeError>(
        "[init] expected a weight [out, in, spatial...], got {}; use uniform or normal",
        weight.str());
  }
  const std::int64_t positions = weight.drop(2).numel();
  return {weight[1] * positions, weight[0] * positions};
}

double gain(Nonlinearity nonlinearity, double slope) {
  switch (nonlinearity) {
    case Nonlinearity::linear:
    case Nonlinearity::sigmoid:
      return 1;
    case Nonlinearity::tanh:
      return 5.0 / 3.0;
    case Nonlinearity::relu:
      return std::sqrt(2.0);
    case Nonlinearity::leaky_relu:
      break;
  }
  return std::sqrt(2.0 / (1.0 + slope * slope));
}

void constant(Tensor& tensor, double value) { tensor.fill(value); }

void uniform(Tensor& tensor, Random& random, double low, double high) {
  if (tensor.dtype() == DType::f64) {
    random.fill_uniform(tensor.span<double>(), low, high);
  } else {
    random.fill_uniform(tensor.span<float>(), static_cast<float>(low), static_cast<float>(high));
  }
}

void normal(Tensor& tensor, Random& random, double mean, double stddev) {
  if (tensor.dtype() == DType::f64) {
    random.fill_normal(tensor.span<double>(), mean, stddev);
  } else {
    random.fill_normal(tensor.span<float>(), static_cast<float>(mean), static_cast<float>(stddev));
  }
}

void kaiming_uniform(Tensor& weight, Random& random, const KaimingOptions& options) {
  uniform_of(weight, random, kaiming_deviation(weight, options));
}

void kaiming_normal(Tensor& weight, Random& random, const KaimingOptions& options) {
  normal(weight, random, 0, kaiming_deviation(weight, options));
}

void xavier_uniform(Tensor& weight, Random& random, double gain) {
  uniform_of(weight, random, xavier_deviation(weight, gain));
}

void xavier_normal(Tensor& weight, Random& random, double gain) {
  normal(weight, random, 0, xavier_deviation(weight, gain));
}

}  // namespace evenkeel::nn::init
