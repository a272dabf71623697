#include <cmath>

#include <evenkeel/core/stored.h>
#include <evenkeel/train/gradient_norms.h>

namespace evenkeel::train {
namespace {

double length_of(const Tensor& tensor) {
  return with_dtype(tensor.dtype(), [&](auto zero) {
    double sum = 0;
    for (const auto value : tensor.span<decltype(zero)>()) {
      sum += in_double(value) * in_double(value);
    }
    return std::sqrt(sum);
  });
}

}  // namespace

std::vector<GradientNorm> gradient_norms(nn::Module& network) {
  std::vector<GradientNorm> norms;
  for (const auto& [name, parameter] : network.parameters()) {
    norms.push_back({name, length_of(parameter->grad), length_of(parameter->value)});
  }
  return norms;
}

}  // namespace evenkeel::train
