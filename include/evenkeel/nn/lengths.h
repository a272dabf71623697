// How many steps of padded sequences are valid.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace evenkeel::nn {

/// The valid steps of each sequence of a batch [N, C, T]: sequence n is the steps [0, values()[n]),
/// the rest is padding. Shared and unchangeable, so that copies cost nothing. A default one says
/// nothing: every step is valid.
class Lengths {
 public:
  Lengths() = default;
  /// An empty vector says nothing.
  explicit Lengths(std::vector<std::int64_t> values) {
    if (!values.empty()) {
      values_ = std::make_shared<const std::vector<std::int64_t>>(std::move(values));
    }
  }

  bool given() const { return values_ != nullptr; }
  /// One per sequence; empty where nothing is given.
  std::span<const std::int64_t> values() const {
    return given() ? std::span<const std::int64_t>(*values_) : std::span<const std::int64_t>();
  }

 private:
  std::shared_ptr<const std::vector<std::int64_t>> values_;
};

class Module;

/// Gives a network the lengths of one batch, and its own back at the end:
///
///     const LengthsScope scope(network, Lengths(batch.lengths));
///     const Tensor y = network.forward(batch.x);
class LengthsScope {
 public:
  LengthsScope(Module& network, const Lengths& lengths);
  ~LengthsScope();
  LengthsScope(const LengthsScope&) = delete;
  LengthsScope& operator=(const LengthsScope&) = delete;

 private:
  Module& network_;
  Lengths before_;
};

}  // namespace evenkeel::nn
