#include "deploy/absorbed_bias.h"

#include <algorithm>
#include <optional>

#include <evenkeel/nn/flow.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/conv_transpose.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::deploy {
namespace {

/// Outputs of a layer that could have a bias and has none.
std::optional<std::int64_t> channels_without_bias(const nn::Module& layer) {
  const auto outputs = [](bool bias, std::int64_t count) {
    return bias ? std::nullopt : std::optional(count);
  };
  if (const auto* linear = dynamic_cast<const nn::Linear*>(&layer)) {
    return outputs(linear->has_bias(), linear->out_features());
  }
  if (const auto* conv = dynamic_cast<const nn::Convolution*>(&layer)) {
    return outputs(conv->has_bias(), conv->out_channels());
  }
  if (const auto* conv = dynamic_cast<const nn::TransposedConvolution*>(&layer)) {
    return outputs(conv->has_bias(), conv->out_channels());
  }
  return std::nullopt;
}

/// The batch norm that is the only reader of step i.
nn::BatchNorm* only_reader(const nn::Flow& flow, std::size_t i) {
  while (i != flow.output() && flow[i].users.size() == 1) {
    i = flow[i].users.front();
    if (flow[i].kind != nn::FlowStep::Kind::layer) return nullptr;
    if (auto* norm = dynamic_cast<nn::BatchNorm*>(flow[i].module)) return norm;
    if (dynamic_cast<nn::Identity*>(flow[i].module) == nullptr) return nullptr;
  }
  return nullptr;
}

std::string inside(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}

/// As the network given names them; it may itself be a part of another.
std::map<const nn::Module*, std::string> paths_in(nn::Module& network) {
  std::map<const nn::Module*, std::string> paths;
  network.visit([&](const std::string& path, nn::Module& module) { paths[&module] = path; });
  return paths;
}

nn::StateDict::iterator find(nn::StateDict& state, const std::string& name) {
  return std::ranges::find(state, name, &nn::StateDict::value_type::first);
}

}  // namespace

NormsBehind norms_behind(nn::Module& network) {
  NormsBehind norms;
  const auto paths = paths_in(network);
  const nn::Flow flow(network);
  // What a graph runs twice has one running mean for two sums.
  std::map<const nn::Module*, int> runs;
  for (const nn::FlowStep& step : flow.steps()) ++runs[step.module];
  for (std::size_t i = 0; i < flow.size(); ++i) {
    if (flow[i].kind != nn::FlowStep::Kind::layer || runs[flow[i].module] > 1) continue;
    const auto channels = channels_without_bias(*flow[i].module);
    nn::BatchNorm* const norm = channels ? only_reader(flow, i) : nullptr;
    if (norm == nullptr || runs[norm] > 1 || norm->channels() != *channels) continue;
    norms[paths.at(flow[i].module)] = norm;
  }
  return norms;
}

WithoutBiases without_biases(nn::Module& network, const nn::StateDict& state) {
  WithoutBiases result{state, {}};
  const auto paths = paths_in(network);
  for (const auto& [path, norm] : norms_behind(network)) {
    const std::string name = inside(path, "bias");
    const Shape wanted{norm->channels()};
    const auto bias = find(result.state, name);
    if (bias == result.state.end() || bias->second.shape() != wanted) continue;
    if (norm->settings().track_running_stats) {
      const auto mean = find(result.state, inside(paths.at(norm), "running_mean"));
      if (mean == result.state.end() || mean->second.shape() != wanted) continue;
      Tensor moved = mean->second.to(DType::f64).clone();
      const Tensor shift = bias->second.to(DType::f64);
      for (std::size_t c = 0; c < shift.span<double>().size(); ++c) {
        moved.span<double>()[c] -= shift.span<double>()[c];
      }
      mean->second = std::move(moved);
    }
    result.state.erase(bias);
    result.absorbed.push_back(name);
  }
  return result;
}

}  // namespace evenkeel::deploy
