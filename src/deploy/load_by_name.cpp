// State dicts into networks, and what of them does not fit.

#include <algorithm>
#include <map>
#include <set>

#include <fmt/ranges.h>

#include "deploy/absorbed_bias.h"
#include <evenkeel/core/error.h>
#include <evenkeel/deploy/state_dict.h>

namespace evenkeel::deploy {
namespace {

constexpr std::string_view kCount = "num_batches_tracked";

/// The tensors under the network's names; copies of its handles, which share its memory.
std::map<std::string, Tensor> own_tensors(nn::Module& network) {
  std::map<std::string, Tensor> own;
  for (const auto& [name, tensor] : network.state_dict()) own.emplace(name, tensor);
  return own;
}

bool is_count(std::string_view name) {
  return name == kCount || name.ends_with("." + std::string(kCount));
}

/// "'a', 'b'", with no more than the first few.
std::string shown(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 3;
  std::vector<std::string> some;
  for (const std::string& name : names) {
    if (some.size() == kMost) {
      some.emplace_back("…");
      break;
    }
    some.push_back(fmt::format("'{}'", name));
  }
  return fmt::format("{}", fmt::join(some, ", "));
}

/// "2 are missing ('a', 'b')"
std::string listed(const std::vector<std::string>& names, std::string_view what) {
  return fmt::format("{} {} {} ({})", names.size(), names.size() == 1 ? "is" : "are", what,
                     shown(names));
}

/// What changes where types differ.
void note_conversions(const std::map<std::string, Tensor>& own, const nn::StateDict& state,
                      LoadReport& report) {
  std::map<std::pair<DType, DType>, std::int64_t> rounded;
  for (const auto& [name, tensor] : state) {
    const auto found = own.find(name);
    if (found == own.end() || found->second.shape() != tensor.shape()) continue;
    if (size_of(tensor.dtype()) > size_of(found->second.dtype())) {
      ++rounded[{tensor.dtype(), found->second.dtype()}];
    }
  }
  for (const auto& [types, count] : rounded) {
    report.notes.push_back(fmt::format("{} tensor{} of {} rounded to {}", count,
                                       count == 1 ? "" : "s", name_of(types.first),
                                       name_of(types.second)));
  }
}

/// "3.body" and "weight" of "3.body.weight".
std::pair<std::string, std::string> parts_of(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {"", name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

/// Batch norms without a count whose statistics were given: of others nothing is known.
std::int64_t norms_without_count(const std::set<std::string>& missing_counts,
                                 const std::set<std::string>& given) {
  return std::ranges::count_if(missing_counts, [&](const std::string& name) {
    return given.contains(name.substr(0, name.size() - kCount.size()) + "running_mean");
  });
}

/// Which layers of the network have no bias but could do with one, and the shape it would have.
std::map<std::string, Shape> biases_to_do_without(nn::Module& network) {
  std::map<std::string, Shape> shapes;
  for (const auto& [layer, norm] : norms_behind(network)) shapes[layer] = Shape{norm->channels()};
  return shapes;
}

std::vector<std::pair<std::string, Tensor>> without_counts(const nn::StateDict& state) {
  nn::StateDict kept;
  for (const auto& entry : state) {
    if (!is_count(entry.first)) kept.push_back(entry);
  }
  return kept;
}

}  // namespace

nn::StateDict named_in_order(nn::Module& network, const nn::StateDict& state) {
  const nn::StateDict own = without_counts(network.state_dict(/*exported_only=*/true));
  const nn::StateDict given = without_counts(state);
  const std::map<std::string, Shape> spare = biases_to_do_without(network);
  const auto check_count = [&](bool right) {
    if (right) return;
    fail<Error>(
        "[state dict] expected the network's {} tensors to match in order, got {}; those of other "
        "networks match by name alone",
        own.size(), given.size());
  };
  check_count(given.size() >= own.size() && given.size() <= own.size() + spare.size());
  std::map<std::string, std::string> layers;
  // A bias that load_by_name() does without: it goes with its layer, as counts do.
  const auto is_spare = [&](const auto& entry) {
    const auto [other, last] = parts_of(entry.first);
    const auto layer = layers.find(other);
    if (last != "bias" || layer == layers.end()) return false;
    const auto shape = spare.find(layer->second);
    return shape != spare.end() && shape->second == entry.second.shape();
  };
  std::size_t next = 0;
  const auto skip_spare = [&] {
    while (next < given.size() && is_spare(given[next])) ++next;
  };
  for (const auto& [name, tensor] : own) {
    skip_spare();
    check_count(next < given.size());
    const auto& [other_name, other_tensor] = given[next];
    const auto [layer, last] = parts_of(name);
    const auto [other, other_last] = parts_of(other_name);
    const bool one_layer = layers.emplace(other, layer).first->second == layer;
    if (last != other_last || tensor.shape() != other_tensor.shape() || !one_layer) {
      fail<Error>("[state dict] expected '{}' {} as tensor {} in order, got '{}' {}", name,
                  tensor.shape().str(), next + 1, other_name, other_tensor.shape().str());
    }
    ++next;
  }
  skip_spare();
  check_count(next == given.size());
  nn::StateDict renamed;
  for (const auto& [name, tensor] : state) {
    const auto [other, last] = parts_of(name);
    const auto layer = layers.find(other);
    if (layer == layers.end()) fail<Error>("[state dict] '{}' is of a layer without tensors", name);
    renamed.emplace_back(layer->second.empty() ? last : layer->second + "." + last, tensor);
  }
  return renamed;
}

std::string LoadReport::faults() const {
  std::vector<std::string> parts;
  if (!missing.empty()) parts.push_back(listed(missing, "missing"));
  if (!unexpected.empty()) parts.push_back(listed(unexpected, "unexpected"));
  if (!mismatched.empty()) {
    const Mismatch& first = mismatched.front();
    parts.push_back(fmt::format("{} {} of another shape ('{}' is {}, expected {}{})",
                                mismatched.size(), mismatched.size() == 1 ? "is" : "are",
                                first.name, first.got.str(), first.expected.str(),
                                mismatched.size() == 1 ? "" : ", …"));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

namespace {

LoadReport match(nn::Module& network, const WithoutBiases& given_state) {
  const nn::StateDict& state = given_state.state;
  const std::map<std::string, Tensor> own = own_tensors(network);
  LoadReport report;
  report.absorbed = given_state.absorbed;
  std::set<std::string> given;
  for (const auto& [name, tensor] : state) {
    given.insert(name);
    const auto found = own.find(name);
    if (found == own.end()) {
      report.unexpected.push_back(name);
    } else if (found->second.shape() != tensor.shape()) {
      report.mismatched.push_back({name, found->second.shape(), tensor.shape()});
    } else {
      report.loaded.push_back(name);
    }
  }
  std::set<std::string> missing_counts;
  for (const auto& [name, tensor] : network.state_dict(/*exported_only=*/true)) {
    if (given.contains(name)) continue;
    if (is_count(name)) {
      missing_counts.insert(name);
    } else {
      report.missing.push_back(name);
    }
  }
  if (const std::int64_t counts = norms_without_count(missing_counts, given); counts > 0) {
    report.notes.push_back(
        fmt::format("{} batch norm{} without {}, which older files lack: the count stays", counts,
                    counts == 1 ? "" : "s", kCount));
  }
  if (!report.absorbed.empty()) {
    const bool one = report.absorbed.size() == 1;
    report.notes.push_back(fmt::format(
        "{} bias{} directly before a batch norm, which the network does not have, {} subtracted "
        "from its running mean ({})",
        report.absorbed.size(), one ? "" : "es", one ? "is" : "are", shown(report.absorbed)));
  }
  note_conversions(own, state, report);
  return report;
}

}  // namespace

LoadReport match_by_name(nn::Module& network, const nn::StateDict& state) {
  return match(network, without_biases(network, state));
}

LoadReport load_by_name(nn::Module& network, const nn::StateDict& state, bool strict) {
  const WithoutBiases given = without_biases(network, state);
  LoadReport report = match(network, given);
  if (strict && !report.fits()) {
    fail<Error>("[state dict] the state does not fit the network: {} of {} tensors fit, {}",
                report.loaded.size(), state.size(), report.faults());
  }
  std::map<std::string, Tensor> own = own_tensors(network);
  for (const auto& [name, tensor] : given.state) {
    const auto found = own.find(name);
    if (found != own.end() && found->second.shape() == tensor.shape()) {
      found->second.copy_from(tensor);
    }
  }
  return report;
}

}  // namespace evenkeel::deploy
