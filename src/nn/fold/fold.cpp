// Networks for inference: convolutions with a fixed weight, and what follows them in their own
// pass.

#include <memory>
#include <optional>
#include <utility>

#include <evenkeel/nn/flow.h>
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/folded_conv.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/valid_steps.h>

namespace evenkeel::nn {
namespace {

/// The activation that a convolution can do, if it is one of them.
std::optional<ops::ConvActivation> fusible(const Activation& activation) {
  const ops::ActivationKind kind = activation.kind();
  if (kind != ops::ActivationKind::relu && kind != ops::ActivationKind::leaky_relu) {
    return std::nullopt;
  }
  return ops::ConvActivation{kind, activation.slope()};
}

class Freezing {
 public:
  Freezing(Module& network, FoldReport& report) : flow_(network), report_(report) {}

  void run() {
    for (std::size_t i = 1; i < flow_.size(); ++i) {
      auto* const conv = dynamic_cast<Convolution*>(flow_[i].module);
      if (conv == nullptr || flow_[i].owner == nullptr) continue;
      flow_.replace(i, frozen(*conv, takes_in(i)));
      take_activation(i);
    }
  }

 private:
  /// The only layer that reads what step i gives, behind those that hand it through; 0 for none.
  std::size_t reader(std::size_t i) const {
    for (;;) {
      if (flow_[i].users.size() != 1 || flow_.output() == i) return 0;
      i = flow_[i].users[0];
      if (flow_[i].kind != FlowStep::Kind::layer) return 0;
      if (dynamic_cast<Identity*>(flow_[i].module) == nullptr) return i;
    }
  }

  /// What convolution i has taken in, and a ValidSteps behind it now.
  FoldedConv::Norm takes_in(std::size_t i) {
    FoldedConv::Norm norm{false, false};
    for (const FoldReport::Folded& one : report_.folded) {
      norm.folded = norm.folded || one.into == flow_[i].module->path();
    }
    const std::size_t next = reader(i);
    if (next != 0 && dynamic_cast<ValidSteps*>(flow_[next].module) != nullptr) {
      norm.sequences = true;
      flow_.replace(next, std::make_unique<Identity>());
    }
    return norm;
  }

  static std::unique_ptr<Module> frozen(Convolution& conv, FoldedConv::Norm norm) {
    return std::make_unique<FoldedConv>(
        std::make_shared<const ops::FrozenConv>(
            conv.effective_weight().clone(), conv.has_bias() ? conv.bias().value.clone() : Tensor(),
            conv.geometry()),
        norm);
  }

  void take_activation(std::size_t i) {
    const std::size_t next = reader(i);
    auto* const activation = next != 0 ? dynamic_cast<Activation*>(flow_[next].module) : nullptr;
    if (activation == nullptr || activation->absorbed()) return;
    if (const auto kind = fusible(*activation)) {
      dynamic_cast<FoldedConv&>(*flow_[i].module).set_activation(*kind);
      activation->set_absorbed(true);
      ++report_.activations;
    }
  }

  Flow flow_;
  FoldReport& report_;
};

}  // namespace

FoldReport fold(Module& network) {
  FoldReport report = fold_norms(network);
  Freezing(network, report).run();
  network.visit([&](const std::string&, Module& module) {
    if (auto* residual = dynamic_cast<Residual*>(&module)) report.sums += residual->join() ? 1 : 0;
  });
  network.eval();
  return report;
}

}  // namespace evenkeel::nn
