// What may normalize a network, by one word: "batch", "group:8", "none".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <evenkeel/nn/module.h>

namespace evenkeel::model {

/// What a normalization is made from.
struct NormPlace {
  std::int64_t features = 0;  ///< channels of the input
  bool spatial = false;       ///< input [N, C, H, W] rather than [N, C]
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  ///< of running statistics; empty: cumulative average
  std::int64_t number = 0;               ///< what stands behind the colon, or the row's default
};

/// One row of the table of normalizations.
struct NormKind {
  std::string_view name;
  std::string_view help;
  /// What the number behind the colon means; empty where there is none.
  std::string_view number;
  std::int64_t fallback = 0;
  /// Null for "none".
  std::unique_ptr<nn::Module> (*make)(const NormPlace& place);
};

/// batch, group, layer, instance, rms, ghost, renorm, none.
std::span<const NormKind> norm_kinds();

/// A row and its number, from text such as "group:8" or "batch".
struct NormChoice {
  const NormKind* kind = nullptr;
  std::int64_t number = 0;

  bool none() const { return kind->make == nullptr; }
};
/// Throws UsageError for an unknown word, naming the nearest, and for a number that is none or
/// where none belongs.
NormChoice parse_norm(const std::string& text);

}  // namespace evenkeel::model
