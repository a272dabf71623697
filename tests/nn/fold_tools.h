// Networks whose batch norms have been trained, so to say.
#pragma once

#include <evenkeel/core/random.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn::testing {

/// γ, β and running statistics as training leaves them, and not as initialization does.
inline void disturb(Module& network) {
  std::uint64_t seed = 1;
  for (const auto& [name, tensor] : network.state_dict()) {
    const bool norm = name.find("running") != std::string::npos;
    if (tensor.dtype() == DType::i64) continue;
    Tensor target = tensor;
    Random random(seed++, 3);
    for (std::int64_t i = 0; i < tensor.numel(); ++i) {
      const double unit = random.uniform();
      if (norm && tensor.dtype() == DType::f64) {
        target.data<double>()[i] = name.ends_with("var") ? 0.2 + 2 * unit : unit - 0.5;
      } else if (tensor.dtype() == DType::f32 && tensor.shape().rank() == 1) {
        target.data<float>()[i] = static_cast<float>(2 * unit - 0.7);
      }
    }
  }
}

}  // namespace evenkeel::nn::testing
