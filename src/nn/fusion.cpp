#include <cstdlib>
#include <optional>
#include <string_view>

#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

/// The activation that the normalizing pass can do, if it is one of them.
std::optional<norm::Activation> fusible(ops::ActivationKind kind) {
  if (kind == ops::ActivationKind::relu) return norm::Activation::relu;
  if (kind == ops::ActivationKind::leaky_relu) return norm::Activation::leaky_relu;
  return std::nullopt;
}

/// A batch norm directly before an activation takes it over.
int fuse_sequence(Sequential& sequence) {
  int count = 0;
  for (std::size_t i = 0; i + 1 < sequence.size(); ++i) {
    auto* norm = dynamic_cast<BatchNorm*>(&sequence[i]);
    auto* activation = dynamic_cast<Activation*>(&sequence[i + 1]);
    if (norm == nullptr || activation == nullptr || activation->absorbed()) continue;
    if (norm->fused_activation() != norm::Activation::none) continue;
    const auto kind = fusible(activation->kind());
    if (!kind) continue;
    norm->fuse_activation(*kind, activation->slope());
    activation->set_absorbed(true);
    ++count;
  }
  return count;
}

/// Activations that batch norms do are done by themselves again.
void unfuse_sequence(Sequential& sequence) {
  for (std::size_t i = 0; i + 1 < sequence.size(); ++i) {
    auto* norm = dynamic_cast<BatchNorm*>(&sequence[i]);
    auto* activation = dynamic_cast<Activation*>(&sequence[i + 1]);
    if (norm == nullptr || activation == nullptr || !activation->absorbed()) continue;
    norm->fuse_activation(norm::Activation::none, 0);
    activation->set_absorbed(false);
  }
}

}  // namespace

int fuse(Module& network) {
  const char* setting = std::getenv("EVENKEEL_FUSION");
  if (setting != nullptr && std::string_view(setting) == "0") return 0;
  network.clear_saved();
  int count = 0;
  network.visit([&](const std::string& /*path*/, Module& module) {
    if (auto* sequence = dynamic_cast<Sequential*>(&module)) count += fuse_sequence(*sequence);
    if (auto* residual = dynamic_cast<Residual*>(&module)) count += residual->join() ? 1 : 0;
  });
  return count;
}

void unfuse(Module& network) {
  network.clear_saved();
  network.visit([](const std::string& /*path*/, Module& module) {
    if (auto* sequence = dynamic_cast<Sequential*>(&module)) unfuse_sequence(*sequence);
    if (auto* residual = dynamic_cast<Residual*>(&module)) residual->separate();
  });
}

}  // namespace evenkeel::nn
