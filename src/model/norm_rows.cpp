// eps and momentum of the normalizations in a layer list.

#include <algorithm>
#include <array>

#include <evenkeel/model/network.h>

namespace evenkeel::model {
namespace {

/// Which of the options a row knows; make_layer() refuses others.
struct Knows {
  bool eps = false, momentum = false, cumulative = false;
};

std::string norm_word(const LayerSpec& row, const std::string& fallback) {
  const auto found = row.options.values().find("norm");
  if (found == row.options.values().end()) return fallback;
  const auto* word = std::get_if<std::string>(&found->second);
  return word == nullptr ? fallback : *word;
}

Knows known_to(const LayerSpec& row) {
  constexpr std::array<std::string_view, 3> kWithoutStatistics{"GroupNorm", "LayerNorm", "RMSNorm"};
  if (row.type.starts_with("BatchNorm") || row.type.starts_with("BatchRenorm")) {
    return {true, true, true};
  }
  if (row.type.starts_with("InstanceNorm")) return {true, true, false};
  if (std::ranges::find(kWithoutStatistics, row.type) != kWithoutStatistics.end()) return {true};
  if (row.type == "EncoderLayer" || row.type == "LSTM") {
    const std::string norm = norm_word(row, row.type == "LSTM" ? "none" : "layer");
    return {norm != "none", norm == "batch", norm == "batch"};
  }
  return {};
}

bool is_momentum(const std::string& key) {
  return key == "momentum" || key == "decay" || key == "cumulative";
}

bool says_momentum(const Options& options) {
  return std::ranges::any_of(options.values(),
                             [](const auto& entry) { return is_momentum(entry.first); });
}

void set_row(LayerSpec& row, const Options& numbers, NormRows rows) {
  const Knows knows = known_to(row);
  const Options before = row.options;
  const bool only_silent = rows == NormRows::silent;
  const bool eps = knows.eps && numbers.contains("eps") && !(only_silent && before.contains("eps"));
  const bool fits = numbers.contains("cumulative") ? knows.cumulative : knows.momentum;
  const bool momentum = fits && says_momentum(numbers) && !(only_silent && says_momentum(before));
  if (!eps && !momentum) return;
  row.options = {};
  for (const auto& [key, value] : before.values()) {
    if (!(momentum && is_momentum(key))) row.options.set(key, value);
  }
  for (const auto& [key, value] : numbers.values()) {
    if (key == "eps" ? eps : momentum && is_momentum(key)) row.options.set(key, value);
  }
}

}  // namespace

Options norm_numbers(std::optional<double> eps, const std::optional<double>* momentum) {
  Options numbers;
  if (eps) numbers.set("eps", *eps);
  if (momentum == nullptr) return numbers;
  if (*momentum) {
    numbers.set("momentum", **momentum);
  } else {
    numbers.set("cumulative", true);
  }
  return numbers;
}

void set_norm_numbers(std::vector<LayerSpec>& layers, const Options& numbers, NormRows rows) {
  for (LayerSpec& row : layers) {
    set_row(row, numbers, rows);
    for (auto& [name, children] : row.children) set_norm_numbers(children, numbers, rows);
  }
}

}  // namespace evenkeel::model
