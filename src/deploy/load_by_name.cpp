// State dicts into networks, and what of them does not fit.

#include <algorithm>
#include <map>
#include <set>

#include <fmt/ranges.h>

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

/// "2 are missing ('a', 'b')", with no more than the first few.
std::string listed(const std::vector<std::string>& names, std::string_view what) {
  constexpr std::size_t kMost = 3;
  std::vector<std::string> shown;
  for (const std::string& name : names) {
    if (shown.size() == kMost) {
      shown.emplace_back("…");
      break;
    }
    shown.push_back(fmt::format("'{}'", name));
  }
  return fmt::format("{} {} {} ({})", names.size(), names.size() == 1 ? "is" : "are", what,
                     fmt::join(shown, ", "));
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
  if (own.size() != given.size()) {
    fail<Error>(
        "[state dict] expected the network's {} tensors to match in order, got {}; those of other "
        "networks match by name alone",
        own.size(), given.size());
  }
  std::map<std::string, std::string> layers;
  for (std::size_t i = 0; i < own.size(); ++i) {
    const auto [layer, last] = parts_of(own[i].first);
    const auto [other, other_last] = parts_of(given[i].first);
    const bool one_layer = layers.emplace(other, layer).first->second == layer;
    if (last != other_last || own[i].second.shape() != given[i].second.shape() || !one_layer) {
      fail<Error>("[state dict] expected '{}' {} as tensor {} in order, got '{}' {}", own[i].first,
                  own[i].second.shape().str(), i + 1, given[i].first,
                  given[i].second.shape().str());
    }
  }
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

LoadReport match_by_name(nn::Module& network, const nn::StateDict& state) {
  const std::map<std::string, Tensor> own = own_tensors(network);
  LoadReport report;
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
  std::int64_t counts = 0;
  for (const auto& [name, tensor] : network.state_dict(/*exported_only=*/true)) {
    if (given.contains(name)) continue;
    if (is_count(name)) {
      ++counts;
    } else {
      report.missing.push_back(name);
    }
  }
  if (counts > 0) {
    report.notes.push_back(
        fmt::format("{} batch norm{} without {}, which older files lack: the count stays", counts,
                    counts == 1 ? "" : "s", kCount));
  }
  note_conversions(own, state, report);
  return report;
}

LoadReport load_by_name(nn::Module& network, const nn::StateDict& state, bool strict) {
  LoadReport report = match_by_name(network, state);
  if (strict && !report.fits()) {
    fail<Error>("[state dict] the state does not fit the network: {} of {} tensors fit, {}",
                report.loaded.size(), state.size(), report.faults());
  }
  std::map<std::string, Tensor> own = own_tensors(network);
  for (const auto& [name, tensor] : state) {
    const auto found = own.find(name);
    if (found != own.end() && found->second.shape() == tensor.shape()) {
      found->second.copy_from(tensor);
    }
  }
  return report;
}

}  // namespace evenkeel::deploy
