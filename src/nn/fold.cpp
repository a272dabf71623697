#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/folded_conv.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

/// A batch norm in eval mode: scale·x + shift per channel.
struct AffineMap {
  std::vector<double> scale, shift;
};

/// The tensor of that name, undefined where the module has none.
Tensor named(const StateDict& state, std::string_view name) {
  for (const auto& [key, tensor] : state) {
    if (key == name) return tensor.to(DType::f64);
  }
  return {};
}

AffineMap map_of(BatchNorm& norm) {
  const StateDict state = norm.state_dict();
  const Tensor gamma = named(state, "weight"), beta = named(state, "bias");
  const Tensor mean = named(state, "running_mean"), var = named(state, "running_var");
  AffineMap map;
  for (std::int64_t c = 0; c < norm.channels(); ++c) {
    const double scale = (gamma.defined() ? gamma.data<double>()[c] : 1.0) /
                         std::sqrt(var.data<double>()[c] + norm.settings().eps);
    map.scale.push_back(scale);
    map.shift.push_back((beta.defined() ? beta.data<double>()[c] : 0.0) -
                        mean.data<double>()[c] * scale);
  }
  return map;
}

/// Weight and bias of a layer that does the affine map behind it as well, in the weight's dtype.
std::pair<Tensor, Tensor> absorb(const Tensor& weight, const Tensor& bias, const AffineMap& map) {
  const std::int64_t outputs = weight.dim(0);
  const std::int64_t each = weight.numel() / outputs;
  Tensor w = weight.to(DType::f64).clone();
  Tensor b = bias.defined() ? bias.to(DType::f64).clone() : Tensor::zeros({outputs}, DType::f64);
  for (std::int64_t c = 0; c < outputs; ++c) {
    const auto i = static_cast<std::size_t>(c);
    double* const row = w.data<double>() + c * each;
    for (std::int64_t k = 0; k < each; ++k) row[k] *= map.scale[i];
    b.data<double>()[c] = b.data<double>()[c] * map.scale[i] + map.shift[i];
  }
  return {w.to(weight.dtype()), b.to(weight.dtype())};
}

/// The activation that a convolution can do, if it is one of them.
std::optional<ops::ConvActivation> fusible(const Activation& activation) {
  const ops::ActivationKind kind = activation.kind();
  if (kind != ops::ActivationKind::relu && kind != ops::ActivationKind::leaky_relu) {
    return std::nullopt;
  }
  return ops::ConvActivation{kind, activation.slope()};
}

/// Why this batch norm cannot be folded into the layer before it; empty if it can.
std::string reason_against(BatchNorm& norm, Module* before) {
  if (before == nullptr)
    return "it is the first layer of its sequence: nothing before it to take it";
  if (!norm.settings().track_running_stats) {
    return "it has no running statistics: eval mode normalizes with the batch's own";
  }
  if (norm.masked()) return "it goes by a mask of valid steps";
  auto* const conv = dynamic_cast<Convolution*>(before);
  auto* const linear = dynamic_cast<Linear*>(before);
  if (conv == nullptr && linear == nullptr) {
    return "it follows " + before->label() + ", which has no weight to take it";
  }
  const std::int64_t outputs = conv != nullptr ? conv->out_channels() : linear->out_features();
  if (outputs != norm.channels()) {
    return fmt::format("it has {} channels and {} before it gives {}", norm.channels(),
                       before->label(), outputs);
  }
  const bool flat = linear != nullptr || before->type() == "Conv1d";
  if (norm.type().ends_with(flat ? "1d" : "2d")) return {};
  return fmt::format("it does not take what {} before it gives", before->label());
}

class Folding {
 public:
  explicit Folding(FoldReport& report) : report_(report) {}

  void sequence(Sequential& layers) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      auto* const norm = dynamic_cast<BatchNorm*>(&layers[i]);
      if (norm == nullptr) continue;
      const std::string reason = reason_against(*norm, i > 0 ? &layers[i - 1] : nullptr);
      if (!reason.empty()) {
        report_.kept.push_back({norm->path(), reason});
        continue;
      }
      const std::string path = norm->path();
      const AffineMap map = map_of(*norm);
      // The batch norm first: where it cannot go nothing has changed.
      layers.replace(i, std::make_unique<Identity>());
      report_.folded.push_back(path);
      if (auto* conv = dynamic_cast<Convolution*>(&layers[i - 1])) {
        auto [w, b] = absorb(conv->effective_weight(), bias_of(*conv), map);
        const bool sequences = conv->type() == "Conv1d";
        layers.replace(i - 1, frozen(w, b, conv->geometry(), {true, sequences}));
      } else {
        auto& linear = dynamic_cast<Linear&>(layers[i - 1]);
        auto [w, b] = absorb(linear.weight().value, bias_of(linear), map);
        auto folded = std::make_unique<Linear>(linear.in_features(), linear.out_features());
        folded->to(w.dtype());
        folded->load_state_dict({{"weight", w}, {"bias", b}});
        layers.replace(i - 1, std::move(folded));
      }
    }
  }

  /// Convolutions without a batch norm gain from a fixed weight as well.
  static void freeze_rest(Sequential& layers) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (auto* conv = dynamic_cast<Convolution*>(&layers[i])) {
        layers.replace(i, frozen(conv->effective_weight().clone(), bias_of(*conv).clone(),
                                 conv->geometry(), {false, false}));
      }
    }
  }

  void activations(Sequential& layers) {
    FoldedConv* conv = nullptr;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (auto* found = dynamic_cast<FoldedConv*>(&layers[i])) {
        conv = found;
        continue;
      }
      auto* const activation = dynamic_cast<Activation*>(&layers[i]);
      if (activation != nullptr && conv != nullptr && !activation->absorbed()) {
        if (const auto kind = fusible(*activation)) {
          conv->set_activation(*kind);
          activation->set_absorbed(true);
          ++report_.activations;
        }
      }
      if (dynamic_cast<Identity*>(&layers[i]) == nullptr) conv = nullptr;
    }
  }

 private:
  template <class Layer>
  static Tensor bias_of(Layer& layer) {
    return layer.has_bias() ? layer.bias().value : Tensor();
  }
  static std::unique_ptr<Module> frozen(Tensor weight, Tensor bias,
                                        const ops::ConvOptions& geometry, FoldedConv::Norm norm) {
    return std::make_unique<FoldedConv>(
        std::make_shared<const ops::FrozenConv>(std::move(weight), std::move(bias), geometry),
        norm);
  }

  FoldReport& report_;
};

/// Batch norms that stand in no sequence.
void list_the_rest(Module& network, FoldReport& report) {
  network.visit([&](const std::string& /*path*/, Module& module) {
    if (dynamic_cast<BatchNorm*>(&module) == nullptr) return;
    if (std::ranges::find(report.kept, module.path(), &FoldReport::Kept::norm) ==
        report.kept.end()) {
      report.kept.push_back({module.path(), "it stands in no sequence behind another layer"});
    }
  });
}

}  // namespace

FoldReport fold(Module& network) {
  unfuse(network);
  network.eval();
  FoldReport report;
  Folding folding(report);
  const auto for_each_sequence = [&](auto&& f) {
    network.visit([&](const std::string&, Module& module) {
      if (auto* layers = dynamic_cast<Sequential*>(&module)) f(*layers);
    });
  };
  for_each_sequence([&](Sequential& layers) { folding.sequence(layers); });
  for_each_sequence([&](Sequential& layers) { Folding::freeze_rest(layers); });
  for_each_sequence([&](Sequential& layers) { folding.activations(layers); });
  network.visit([&](const std::string&, Module& module) {
    if (auto* residual = dynamic_cast<Residual*>(&module)) report.sums += residual->join() ? 1 : 0;
  });
  list_the_rest(network, report);
  network.eval();
  return report;
}

}  // namespace evenkeel::nn
