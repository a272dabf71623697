#include "norm_text.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace evenkeel::app {
namespace {

/// One value, and the layers that have it.
struct Shared {
  double value = 0;  ///< a momentum of 0 is no cumulative average, which is -1
  std::vector<std::string> layers;
};
using Values = std::vector<Shared>;

constexpr double kCumulative = -1;

void add(Values& values, double value, const std::string& layer) {
  const auto found = std::ranges::find(values, value, &Shared::value);
  if (found == values.end()) {
    values.push_back({value, {layer}});
  } else {
    found->layers.push_back(layer);
  }
}

struct Norms {
  Values eps, momentum;
  Json list = Json::array();
};

Norms norms_of(nn::Module& network) {
  Norms norms;
  network.visit([&](const std::string& path, nn::Module& module) {
    const Options options = module.options();
    if (!options.contains("eps")) return;
    const double eps = options.get("eps", 0.0);
    add(norms.eps, eps, path);
    Json entry{{"layer", path}, {"type", module.type()}, {"eps", eps}};
    // Without running statistics there is nothing to average.
    const bool average = options.get("track_running_stats", true);
    if (average && options.contains("momentum")) {
      entry["momentum"] = options.get("momentum", 0.0);
      add(norms.momentum, options.get("momentum", 0.0), path);
    } else if (average && options.get("cumulative", false)) {
      entry["momentum"] = nullptr;
      add(norms.momentum, kCumulative, path);
    }
    norms.list.push_back(std::move(entry));
  });
  return norms;
}

std::string layers_text(const std::vector<std::string>& layers) {
  constexpr std::size_t kShown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(layers.size(), kShown); ++i) {
    text += (i == 0 ? "" : ", ") + layers[i];
  }
  if (layers.size() > kShown) text += fmt::format(" and {} more", layers.size() - kShown);
  return text;
}

std::string number_text(double value) {
  return value == kCumulative ? "cumulative" : fmt::format("{:.6g}", value);
}

std::string values_text(std::string_view name, const Values& values) {
  if (values.size() == 1) return fmt::format("{} {}", name, number_text(values.front().value));
  std::string text = fmt::format("{} differs by layer: ", name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += fmt::format("{}{} in {}", i == 0 ? "" : "; ", number_text(values[i].value),
                        layers_text(values[i].layers));
  }
  return text;
}

}  // namespace

std::string norms_text(nn::Module& network, bool momentum) {
  const Norms norms = norms_of(network);
  if (norms.eps.empty()) return "none";
  std::string text = values_text("eps", norms.eps);
  if (!momentum || norms.momentum.empty()) return text;
  text += ", " + values_text("momentum", norms.momentum);
  const double value = norms.momentum.front().value;
  if (norms.momentum.size() > 1 || value == kCumulative) return text;
  return text + fmt::format(" of the new value, {:.6g} of the old", 1 - value);
}

void put_norms(nn::Module& network, Json& json) {
  const Norms norms = norms_of(network);
  const auto common = [](const Values& values) {
    const bool one = values.size() == 1 && values.front().value != kCumulative;
    return one ? Json(values.front().value) : Json(nullptr);
  };
  json["eps"] = common(norms.eps);
  json["momentum"] = common(norms.momentum);
  json["norms"] = norms.list;
}

}  // namespace evenkeel::app
