// What a batch norm layer keeps from forward to backward.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "nn/layers/recover.h"
#include "nn/layers/renorm.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/ops/activation.h>

namespace evenkeel::nn {

/// Memory from the caching allocator, as the bytes that the operators ask for.
struct Bytes {
  std::shared_ptr<std::byte> owner;
  std::span<std::byte> span;

  Bytes() = default;
  explicit Bytes(std::size_t size) : owner(allocate(size)), span(owner.get(), size) {}

  std::span<double> doubles() const {
    return {reinterpret_cast<double*>(span.data()), span.size() / sizeof(double)};
  }
};

/// Samples [begin, end) of a view.
template <class View>
View slice(View view, std::int64_t begin, std::int64_t end) {
  const std::int64_t bytes =
      begin * view.c * view.s * static_cast<std::int64_t>(size_of(view.dtype));
  if constexpr (std::is_same_v<View, norm::ChannelView>) {
    view.data = static_cast<std::byte*>(view.data) + bytes;
  } else {
    view.data = static_cast<const std::byte*>(view.data) + bytes;
  }
  view.n = end - begin;
  return view;
}

inline ops::ActivationKind kind_of(norm::Activation activation) {
  return activation == norm::Activation::relu ? ops::ActivationKind::relu
                                              : ops::ActivationKind::leaky_relu;
}

/// What backward needs.
struct BatchNorm::Saved {
  Shape shape;  ///< of the input
  Layout layout;
  Tensor x;  ///< what was normalized: the input, or its valid steps as rows; y where recovery is
  std::unique_ptr<const SequenceRows> rows;
  Tensor y;  ///< of an activation behind valid steps
  Statistics statistics;
  bool added;
  norm::Activation activation;
  double slope;
  std::vector<std::int64_t> cuts;            ///< of x into virtual batches
  Bytes memory;                              ///< of their states, and corrections
  std::unique_ptr<const Recovery> recovery;  ///< where y was written over x

  /// What follows in the normalizing pass itself.
  norm::Epilogue epilogue() const {
    if (rows != nullptr) return {};
    return {activation, slope, std::nullopt};
  }

  /// What the states are bound for: y has the signs that a mask would.
  norm::Epilogue state_epilogue() const {
    return recovery != nullptr ? norm::Epilogue{} : epilogue();
  }

  std::size_t correction_bytes() const {
    return statistics == Statistics::renormalized
               ? 2 * static_cast<std::size_t>(x.dim(1)) * sizeof(double)
               : 0;
  }
  /// Bytes of the states of all parts, and of the largest workspace of one.
  std::pair<std::size_t, std::size_t> sizes() const {
    std::size_t memory_bytes = 0;
    std::size_t workspace_bytes = 0;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto in = slice(norm::view(x), cuts[i], cuts[i + 1]);
      memory_bytes += norm::state_size(in, state_epilogue()) + correction_bytes();
      workspace_bytes = std::max(workspace_bytes, norm::workspace_size(in));
    }
    return {memory_bytes, workspace_bytes};
  }

  /// Values per channel in the smallest part.
  std::int64_t least_values() const {
    std::int64_t least = x.dim(0);
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      least = std::min(least, cuts[i + 1] - cuts[i]);
    }
    return least * norm::view(x).s;
  }

  /// The largest of size(part) over all parts.
  template <class Size>
  std::size_t most(Size&& size) const {
    std::size_t result = 0;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      result = std::max(result, size(slice(norm::view(x), cuts[i], cuts[i + 1])));
    }
    return result;
  }

  /// f(begin, end, state, correction) for each part.
  template <class F>
  void for_each_part(F&& f) const {
    std::span<std::byte> rest = memory.span;
    const auto channels = static_cast<std::size_t>(x.dim(1));
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto in = slice(norm::view(x), cuts[i], cuts[i + 1]);
      const std::size_t bytes = norm::state_size(in, state_epilogue());
      norm::BatchNormState state = norm::bind_state(rest.first(bytes), in, state_epilogue());
      rest = rest.subspan(bytes);
      Correction correction;
      if (correction_bytes() > 0) {
        auto* const values = reinterpret_cast<double*>(rest.data());
        correction = {{values, channels}, {values + channels, channels}};
        rest = rest.subspan(correction_bytes());
      }
      f(cuts[i], cuts[i + 1], state, correction);
    }
  }
};

}  // namespace evenkeel::nn
