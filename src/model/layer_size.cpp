#include "model/layer_size.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

namespace evenkeel::model {
namespace {

constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();

/// A number of values that saturates.
struct Count {
  std::uint64_t value = 0;

  friend Count operator+(Count a, Count b) { return {saturating_sum(a.value, b.value)}; }
  friend Count operator*(Count a, Count b) { return {saturating_product(a.value, b.value)}; }
};

/// Looks at options without asking for them: layers know their keys by what they ask for.
class Values {
 public:
  explicit Values(const Options& options) : options_(options) {}

  /// A number, or the product of a list of them.
  Count number(const char* key, std::uint64_t fallback = 0) const {
    const auto* value = find(key);
    if (value == nullptr) return {fallback};
    if (const auto* one = std::get_if<std::int64_t>(value)) return positive(*one);
    Count product{1};
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(value)) {
      for (const std::int64_t one : *list) product = product * positive(one);
      return product;
    }
    return {0};
  }
  /// The product of `count` numbers: a list of them, or one number for all.
  Count sizes(const char* key, int count) const {
    const auto* value = find(key);
    if (value == nullptr || !std::holds_alternative<std::int64_t>(*value)) return number(key);
    Count product{1};
    for (int i = 0; i < count; ++i) product = product * number(key);
    return product;
  }
  bool flag(const char* key, bool fallback) const {
    const auto* value = find(key);
    const auto* flag = value == nullptr ? nullptr : std::get_if<bool>(value);
    return flag == nullptr ? fallback : *flag;
  }
  bool is(const char* key, std::string_view word) const {
    const auto* value = find(key);
    const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
    return text != nullptr && *text == word;
  }

 private:
  static Count positive(std::int64_t value) {
    return {value > 0 ? static_cast<std::uint64_t>(value) : 0};
  }
  const OptionValue* find(const char* key) const {
    const auto it = options_.values().find(key);
    return it == options_.values().end() ? nullptr : &it->second;
  }

  const Options& options_;
};

Count linear(const Values& v) { return v.number("in_features") * v.number("out_features"); }

template <int SpatialRank>
Count convolution(const Values& v) {
  const Count kernel = v.sizes("kernel_size", SpatialRank);
  const std::uint64_t groups = std::max<std::uint64_t>(v.number("groups", 1).value, 1);
  return Count{v.number("in_channels").value / groups} * v.number("out_channels") * kernel;
}
Count elementwise(const Values& v) { return v.number("shape", 1); }

/// Two values per channel if `affine`, two if it keeps running statistics.
Count channels_of(const Values& v, const char* key, bool affine, bool running) {
  return v.number(key) * Count{(affine ? 2u : 0u) + (running ? 2u : 0u)};
}
Count batch_norm(const Values& v) {
  return channels_of(v, "num_features", v.flag("affine", true),
                     v.flag("track_running_stats", true));
}
Count instance_norm(const Values& v) {
  return channels_of(v, "num_features", v.flag("affine", false),
                     v.flag("track_running_stats", false));
}
Count group_norm(const Values& v) {
  return channels_of(v, "num_channels", v.flag("affine", true), false);
}
Count trailing_norm(const Values& v) {
  return v.flag("elementwise_affine", true) ? v.number("normalized_shape") : Count{0};
}

/// Batch norm keeps two statistics of two sums of every gate, for every step.
Count recurrent(const Values& v, Count gates) {
  const Count cells = v.number("num_layers", 1) * Count{v.flag("bidirectional", false) ? 2u : 1u};
  const Count hidden = v.number("hidden_size");
  const Count steps = v.is("norm", "batch") ? v.number("max_steps", 64) : Count{0};
  return cells * hidden * gates * (hidden + Count{4} * steps) +
         v.number("input_size") * hidden * gates;
}
Count lstm(const Values& v) { return recurrent(v, {4}); }
Count gru(const Values& v) { return recurrent(v, {3}); }

Count attention(const Values& v) {
  return Count{4} * v.number("embed_dim") * v.number("embed_dim");
}
Count encoder(const Values& v) {
  return attention(v) + v.number("embed_dim") * v.number("feedforward_dim");
}
Count positions(const Values& v) {
  return v.is("kind", "learned") ? v.number("max_steps", 1) * v.number("channels") : Count{0};
}

struct Row {
  std::string_view type;
  Count (*count)(const Values& values);
};
constexpr std::array kRows = {
    Row{"Linear", linear},
    Row{"Conv1d", convolution<1>},
    Row{"Conv2d", convolution<2>},
    Row{"Conv3d", convolution<3>},
    Row{"ConvTranspose1d", convolution<1>},
    Row{"ConvTranspose2d", convolution<2>},
    Row{"ConvTranspose3d", convolution<3>},
    Row{"Scale", elementwise},
    Row{"Shift", elementwise},
    Row{"BatchNorm1d", batch_norm},
    Row{"BatchNorm2d", batch_norm},
    Row{"BatchNorm3d", batch_norm},
    Row{"BatchRenorm1d", batch_norm},
    Row{"BatchRenorm2d", batch_norm},
    Row{"BatchRenorm3d", batch_norm},
    Row{"LayerNorm", trailing_norm},
    Row{"RMSNorm", trailing_norm},
    Row{"GroupNorm", group_norm},
    Row{"InstanceNorm1d", instance_norm},
    Row{"InstanceNorm2d", instance_norm},
    Row{"InstanceNorm3d", instance_norm},
    Row{"LSTM", lstm},
    Row{"GRU", gru},
    Row{"MultiheadAttention", attention},
    Row{"EncoderLayer", encoder},
    Row{"PositionalEncoding", positions},
};

}  // namespace

std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b) {
  return a > kLargest - b ? kLargest : a + b;
}

std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  return a != 0 && b > kLargest / a ? kLargest : a * b;
}

std::uint64_t least_values(const LayerSpec& layer) {
  const auto* row = std::ranges::find(kRows, layer.type, &Row::type);
  return row == kRows.end() ? 0 : row->count(Values(layer.options)).value;
}

}  // namespace evenkeel::model
