// What the relatives of batch norm are compared with: their definition in long double.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "nn/tensors.h"
#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::testing {

/// Element (n, c, s) of a tensor in either layout.
inline std::int64_t element(const Tensor& t, std::int64_t n, std::int64_t c, std::int64_t s) {
  const ChannelDims d = channel_dims(t.shape(), "test");
  return t.layout() == Layout::channels_first ? (n * d.c + c) * d.s + s : (n * d.s + s) * d.c + c;
}
inline double value_at(const Tensor& t, std::int64_t n, std::int64_t c, std::int64_t s) {
  const std::int64_t i = element(t, n, c, s);
  return t.dtype() == DType::f64 ? t.data<double>()[i] : static_cast<double>(t.data<float>()[i]);
}

/// The definition: which samples share statistics, which steps count, what corrects x̂.
struct ExactNorm {
  using Real = long double;
  struct Factors {
    Real r = 1, d = 0;
  };

  std::vector<double> gamma, beta;
  double eps = 1e-5;
  std::vector<std::int64_t> cuts;  ///< where virtual batches begin, and N
  std::function<bool(std::int64_t n, std::int64_t s)> valid = [](std::int64_t, std::int64_t) {
    return true;
  };
  std::function<Factors(std::int64_t c, Real mean, Real sigma)> correction =
      [](std::int64_t, Real, Real) { return Factors{}; };
};

/// The largest errors of a layer: of y over max(1, |γx̂| + |β|), of dx over |γ|·r/σ + |dx|, of dγ
/// and dβ over the sum of the absolute values of their summands.
struct NormErrors {
  double y = 0, dx = 0, dgamma = 0, dbeta = 0;
};

/// Compares forward and backward of `layer`, whose γ and β become those of `exact`.
class NormComparison {
 public:
  NormComparison(nn::BatchNorm& layer, const Tensor& x, const Tensor& dy, const ExactNorm& exact)
      : x_(x), dy_(dy), exact_(exact) {
    for (const auto& [name, parameter] : layer.parameters()) {
      const auto& values = name == "weight" ? exact.gamma : exact.beta;
      parameter->value.copy_from(
          Tensor::from<double>(values, {static_cast<std::int64_t>(values.size())}));
      parameter->grad.fill(0);
    }
    y_ = layer.forward(x);
    dx_ = layer.backward(dy);
    dgamma_ = layer.parameters()[0].parameter->grad.to(DType::f64);
    dbeta_ = layer.parameters()[1].parameter->grad.to(DType::f64);
  }

  NormErrors errors() {
    for (std::int64_t c = 0; c < x_.dim(1); ++c) compare_channel(c);
    return worst_;
  }

 private:
  using Real = ExactNorm::Real;

  template <class F>
  void for_each(std::int64_t begin, std::int64_t end, F&& f) const {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t s = 0; s < channel_dims(x_.shape(), "test").s; ++s) {
        if (exact_.valid(n, s)) f(n, s);
      }
    }
  }
  static Real at(const Tensor& t, std::int64_t n, std::int64_t c, std::int64_t s) {
    return static_cast<Real>(value_at(t, n, c, s));
  }
  static void keep(double& worst, Real error) {
    worst = std::max(worst, std::isnan(error) ? INFINITY : static_cast<double>(error));
  }

  void compare_channel(std::int64_t c) {
    Real dgamma = 0, dbeta = 0, dgamma_size = 1e-30L, dbeta_size = 1e-30L;
    for (std::size_t part = 0; part + 1 < exact_.cuts.size(); ++part) {
      compare_part(c, exact_.cuts[part], exact_.cuts[part + 1], dgamma, dbeta, dgamma_size,
                   dbeta_size);
    }
    keep(worst_.dgamma,
         std::abs(static_cast<Real>(dgamma_.data<double>()[c]) - dgamma) / dgamma_size);
    keep(worst_.dbeta, std::abs(static_cast<Real>(dbeta_.data<double>()[c]) - dbeta) / dbeta_size);
  }

  void compare_part(std::int64_t c, std::int64_t begin, std::int64_t end, Real& dgamma, Real& dbeta,
                    Real& dgamma_size, Real& dbeta_size) {
    Real m = 0, sum = 0, square = 0, g = 0, gx = 0;
    for_each(begin, end, [&](std::int64_t n, std::int64_t s) {
      m += 1;
      sum += at(x_, n, c, s);
    });
    const Real mean = sum / m;
    for_each(begin, end, [&](std::int64_t n, std::int64_t s) {
      square += (at(x_, n, c, s) - mean) * (at(x_, n, c, s) - mean);
    });
    const Real sigma = std::sqrt(square / m + static_cast<Real>(exact_.eps));
    const auto factors = exact_.correction(c, mean, sigma);
    const Real r = factors.r;
    const Real d = factors.d;
    for_each(begin, end, [&](std::int64_t n, std::int64_t s) {
      g += at(dy_, n, c, s);
      gx += at(dy_, n, c, s) * (at(x_, n, c, s) - mean) / sigma;
    });
    const auto i = static_cast<std::size_t>(c);
    const auto gamma = static_cast<Real>(exact_.gamma[i]);
    const auto beta = static_cast<Real>(exact_.beta[i]);
    for_each(begin, end, [&](std::int64_t n, std::int64_t s) {
      const Real plain = (at(x_, n, c, s) - mean) / sigma;
      const Real hat = plain * r + d;
      const Real y = gamma * hat + beta;
      const Real scale = std::max<Real>(1, std::abs(gamma * hat) + std::abs(beta));
      keep(worst_.y, std::abs(at(y_, n, c, s) - y) / scale);
      const Real dx = gamma * r / sigma * (at(dy_, n, c, s) - g / m - plain * gx / m);
      keep(worst_.dx,
           std::abs(at(dx_, n, c, s) - dx) / (std::abs(gamma) * r / sigma + std::abs(dx)));
      dgamma += at(dy_, n, c, s) * hat;
      dbeta += at(dy_, n, c, s);
      dgamma_size += std::abs(at(dy_, n, c, s) * hat);
      dbeta_size += std::abs(at(dy_, n, c, s));
    });
  }

  Tensor x_, dy_;
  ExactNorm exact_;
  Tensor y_, dx_, dgamma_, dbeta_;
  NormErrors worst_;
};

/// The project's bar for f32 (docs/numerics.md), for dx as its own tests have it.
inline constexpr double kBarOfY = 1e-6;
inline constexpr double kBarOfGradients = 4e-6;

/// γ from 0.5 to 5, β from 0 to −10.
inline ExactNorm exact_norm(std::int64_t channels, std::vector<std::int64_t> cuts) {
  ExactNorm exact;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double part = static_cast<double>(c) / static_cast<double>(channels);
    exact.gamma.push_back(0.5 + 4.5 * part);
    exact.beta.push_back(-10 * part);
  }
  // As the layer has them.
  for (auto* values : {&exact.gamma, &exact.beta}) {
    for (double& value : *values) value = static_cast<double>(static_cast<float>(value));
  }
  exact.cuts = std::move(cuts);
  return exact;
}

inline Tensor normal_tensor(const Shape& shape, std::uint64_t seed, double mean, double stddev,
                            Layout layout = Layout::channels_first) {
  Tensor t = Tensor::empty(shape, DType::f64, layout);
  Random(seed, 3).fill_normal(t.span<double>(), mean, stddev);
  return t.to(DType::f32);
}

/// One training step of a layer: everything that must have the same bits.
struct NormStep {
  Tensor y, dx;
  nn::StateDict state;  ///< and the gradients

  NormStep(nn::Module& layer, const Tensor& x, const Tensor& dy) {
    layer.zero_grad();
    y = layer.forward(x);
    dx = layer.backward(dy);
    for (const auto& [name, tensor] : layer.state_dict()) state.emplace_back(name, tensor.clone());
    for (const auto& [name, parameter] : layer.parameters()) {
      state.emplace_back("gradient of " + name, parameter->grad.clone());
    }
  }

  /// What differs; empty if nothing does.
  std::string difference(const NormStep& other) const {
    if (!identical(y, other.y)) return "y";
    if (!identical(dx, other.dx)) return "dx";
    if (state.size() != other.state.size()) return "the number of tensors";
    for (std::size_t i = 0; i < state.size(); ++i) {
      if (!identical(state[i].second, other.state[i].second)) return state[i].first;
    }
    return {};
  }
};

/// γ and β that are not 1 and 0.
inline void disturb_affine(nn::Module& layer, std::uint64_t seed = 31) {
  for (const auto& [name, parameter] : layer.parameters()) {
    parameter->value.copy_from(random_tensor(parameter->value.shape(), seed++));
  }
}

}  // namespace evenkeel::testing
