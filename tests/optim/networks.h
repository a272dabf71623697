// A small network with every kind of parameter, and gradients for it.
#pragma once

#include <cstring>

#include <evenkeel/core/random.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::testing {

inline nn::Sequential small_network(DType dtype = DType::f32) {
  nn::Sequential network{nn::Linear(5, 7), nn::BatchNorm1d(7), nn::ReLU(), nn::Linear(7, 3)};
  network.initialize(11);
  network.to(dtype);
  return network;
}

/// Gradients that depend on `step` alone.
inline void fill_gradients(nn::Module& module, std::uint64_t step) {
  Random random(step, 3);
  for (const auto& [name, parameter] : module.parameters()) {
    Tensor values = Tensor::empty(parameter->grad.shape(), DType::f64);
    random.fill_normal(values.span<double>(), 0, 1);
    parameter->grad.copy_from(values);
  }
}

inline bool same_parameters(nn::Module& a, nn::Module& b) {
  const auto left = a.parameters();
  const auto right = b.parameters();
  for (std::size_t i = 0; i < left.size(); ++i) {
    const Tensor& x = left[i].parameter->value;
    const Tensor& y = right[i].parameter->value;
    if (std::memcmp(x.raw(), y.raw(), x.bytes()) != 0) return false;
  }
  return left.size() == right.size();
}

}  // namespace evenkeel::testing
