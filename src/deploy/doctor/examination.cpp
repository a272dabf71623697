#include "deploy/doctor/examination.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include <evenkeel/core/error.h>
#include <evenkeel/nn/describe.h>

namespace evenkeel::deploy {
namespace {

std::vector<double> values_of(const Tensor& tensor) {
  const Tensor wide = tensor.to(DType::f64);
  const auto values = std::as_const(wide).span<double>();
  return {values.begin(), values.end()};
}

NormFacts facts_of(nn::BatchNorm& layer) {
  NormFacts facts;
  facts.layer = &layer;
  facts.tracked = layer.settings().track_running_stats;
  const nn::Freeze frozen = layer.frozen();
  facts.held = facts.tracked && (frozen == nn::Freeze::statistics || frozen == nn::Freeze::all);
  for (const auto& [name, tensor] : layer.state_dict()) {
    if (name == "weight") facts.gamma = values_of(tensor);
    if (name == "bias") facts.beta = values_of(tensor);
    if (name == "running_mean") facts.mean = values_of(tensor);
    if (name == "running_var") facts.var = values_of(tensor);
    if (name == "num_batches_tracked") facts.batches = static_cast<std::int64_t>(tensor.item());
  }
  return facts;
}

Shape batch_of(std::int64_t count, const Shape& sample) {
  std::vector<std::int64_t> dims{count};
  dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

}  // namespace

bool NormFacts::sound(std::size_t channel) const {
  return tracked && std::isfinite(mean[channel]) && std::isfinite(var[channel]) &&
         var[channel] >= 0;
}

Examination::Examination(nn::Module& examined, const DoctorOptions& given, const Survey* data)
    : network(examined), options(given), surveyed(data), flow(examined) {
  network.visit([&](const std::string& path, nn::Module& module) {
    if (auto* layer = dynamic_cast<nn::BatchNorm*>(&module)) norms.push_back(facts_of(*layer));
    // Names of the children's tensors begin with the child's.
    const auto own = [&](const std::string& name) {
      for (std::size_t i = 0; i < module.child_count(); ++i) {
        if (name.starts_with(module.child_name(i) + ".")) return false;
      }
      return true;
    };
    for (const auto& [name, parameter] : module.parameters()) {
      if (own(name)) parameters.push_back({path, name, parameter->value});
    }
    for (const auto& [name, buffer] : module.buffers()) {
      if (own(name)) buffers.push_back({path, name, buffer->value});
    }
  });
  for (NormFacts& norm : norms) {
    for (std::size_t i = 0; i < flow.size(); ++i) {
      if (flow[i].module == norm.layer) norm.step = i;
    }
    if (data == nullptr) continue;
    const auto found = data->layers.find(norm.path());
    if (found != data->layers.end()) norm.survey = &found->second;
  }
  if (!options.sample || !options.training_batch) return;
  try {
    // What a batch norm gives has the shape of its input.
    for (const nn::LayerDescription& layer :
         nn::describe_layers(network, batch_of(*options.training_batch, *options.sample))) {
      for (NormFacts& norm : norms) {
        if (norm.path() == layer.path) norm.input = layer.output;
      }
    }
  } catch (const ShapeError&) {
    // A network that takes no such batch, of an imported model: what it trained with is not known.
    for (NormFacts& norm : norms) norm.input.reset();
  }
}

bool Examination::sees_raw_input(const NormFacts& norm) const {
  if (!norm.step) return false;
  std::set<std::size_t> seen;
  std::vector<std::size_t> open{flow[*norm.step].inputs};
  while (!open.empty()) {
    const std::size_t i = open.back();
    open.pop_back();
    if (!seen.insert(i).second) continue;
    if (flow[i].kind == nn::FlowStep::Kind::layer && flow[i].module->has_parameters()) return false;
    open.insert(open.end(), flow[i].inputs.begin(), flow[i].inputs.end());
  }
  return true;
}

Findings::Findings(nn::Module& network, std::vector<Finding>& out) : out_(out) {
  network.visit([this](const std::string& path, nn::Module& module) {
    // What concerns a network as a whole says nothing of its container.
    if (path.empty() && module.child_count() > 0) return;
    types_[path] = std::string(module.type());
  });
}

void Findings::add(const std::string& layer, std::string evidence) {
  add(layer, std::move(evidence), check_->severity);
}

void Findings::add(const std::string& layer, std::string evidence, Severity severity,
                   const std::string& before) {
  const auto type = types_.find(layer);
  out_.push_back({std::string(check_->name), severity, layer,
                  type == types_.end() ? std::string() : type->second, std::move(evidence),
                  std::string(check_->consequence), before + std::string(check_->remedy)});
}

std::string channels_text(const std::vector<std::size_t>& chosen, std::size_t all) {
  constexpr std::size_t kShown = 4;
  if (all == 1) return "its only channel";
  if (chosen.size() == all) return fmt::format("all {} channels", all);
  if (chosen.size() == 1) return fmt::format("channel {} of {}", chosen[0], all);
  std::string names;
  for (std::size_t i = 0; i < std::min(chosen.size(), kShown); ++i) {
    names += fmt::format("{}{}", i == 0 ? "" : ", ", chosen[i]);
  }
  if (chosen.size() > kShown) names += ", …";
  return fmt::format("{} of {} channels ({})", chosen.size(), all, names);
}

}  // namespace evenkeel::deploy
