// Initial values, with PyTorch's names and formulas.
#pragma once

#include <cstdint>

#include <evenkeel/core/random.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::nn::init {

// Every function overwrites an f32 or f64 tensor from `random`, which advances. Both dtypes draw
// the same numbers, rounded once.

/// Connections into and out of one unit: of a weight [M, K, spatial...], K·S and M·S.
struct Fans {
  std::int64_t in = 0;
  std::int64_t out = 0;
};
/// Throws ShapeError below rank 2.
Fans fans_of(const Shape& weight);

enum class FanMode : std::uint8_t { in, out };
enum class Nonlinearity : std::uint8_t { linear, sigmoid, tanh, relu, leaky_relu };

/// The factor that keeps the variance through the nonlinearity: 1, 1, 5/3, √2, √(2 / (1 + slope²)).
double gain(Nonlinearity nonlinearity, double slope = 0.01);

struct KaimingOptions {
  double slope = 0;  ///< PyTorch's a; used with leaky_relu alone
  FanMode mode = FanMode::in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
};

void constant(Tensor& tensor, double value);
/// In [low, high).
void uniform(Tensor& tensor, Random& random, double low = 0, double high = 1);
void normal(Tensor& tensor, Random& random, double mean = 0, double stddev = 1);

/// He et al. 2015 (https://arxiv.org/abs/1502.01852): U(±√3·gain/√fan) and N(0, (gain/√fan)²).
void kaiming_uniform(Tensor& weight, Random& random, const KaimingOptions& options = {});
void kaiming_normal(Tensor& weight, Random& random, const KaimingOptions& options = {});

/// Glorot and Bengio 2010: U(±gain·√(6/(in+out))) and N(0, gain²·2/(in+out)).
void xavier_uniform(Tensor& weight, Random& random, double gain = 1);
void xavier_normal(Tensor& weight, Random& random, double gain = 1);

}  // namespace evenkeel::nn::init
