#include <array>
#include <charconv>
#include <vector>

#include <evenkeel/core/error.h>
#include <evenkeel/model/norm_kinds.h>
#include <evenkeel/nn/layer_table.h>

namespace evenkeel::model {
namespace {

using Made = std::unique_ptr<nn::Module>;

Options batch_options(const NormPlace& place) {
  Options options{{"num_features", place.features}, {"eps", place.eps}};
  if (place.momentum) {
    options.set("momentum", *place.momentum);
  } else {
    options.set("cumulative", true);
  }
  return options;
}

std::string batch_type(const NormPlace& place) {
  return place.spatial ? "BatchNorm2d" : "BatchNorm1d";
}

Made make_batch(const NormPlace& place) {
  return nn::make_layer(batch_type(place), batch_options(place));
}

Made make_ghost(const NormPlace& place) {
  Options options = batch_options(place);
  options.set("ghost_size", place.number);
  return nn::make_layer(batch_type(place), options);
}

Made make_renorm(const NormPlace& place) {
  return nn::make_layer(place.spatial ? "BatchRenorm2d" : "BatchRenorm1d", batch_options(place));
}

Made make_group(const NormPlace& place) {
  return nn::make_layer(
      "GroupNorm",
      {{"num_groups", place.number}, {"num_channels", place.features}, {"eps", place.eps}});
}

/// Over channels and positions of a sample. Images have γ and β per channel, so that their size is
/// free: group norm with one group.
Made make_layer_norm(const NormPlace& place) {
  if (place.spatial) {
    NormPlace one = place;
    one.number = 1;
    return make_group(one);
  }
  return nn::make_layer(
      "LayerNorm",
      {{"normalized_shape", std::vector<std::int64_t>{place.features}}, {"eps", place.eps}});
}

Made make_instance(const NormPlace& place) {
  if (!place.spatial) {
    fail<UsageError>(
        "[net] norm instance needs images: each channel of a sample of mlp is one value; use layer "
        "or group");
  }
  return nn::make_layer("InstanceNorm2d",
                        {{"num_features", place.features}, {"eps", place.eps}, {"affine", true}});
}

Made make_rms(const NormPlace& place) {
  if (place.spatial) {
    fail<UsageError>("[net] norm rms is for networks without convolutions; use layer or group");
  }
  return nn::make_layer("RMSNorm", {{"normalized_shape", std::vector<std::int64_t>{place.features}},
                                    {"eps", place.eps}});
}

constexpr std::array<NormKind, 8> kKinds{{
    {"batch", "over the batch, per channel (Ioffe and Szegedy 2015)", "", 0, make_batch},
    {"group", "over groups of channels of a sample (Wu and He 2018)", "groups", 8, make_group},
    {"layer", "over all channels of a sample (Ba et al. 2016)", "", 0, make_layer_norm},
    {"instance", "over each channel of a sample (Ulyanov et al. 2016)", "", 0, make_instance},
    {"rms", "layer norm without the mean (Zhang and Sennrich 2019)", "", 0, make_rms},
    {"ghost", "batch norm over parts of the batch (Hoffer et al. 2017)", "samples", 32, make_ghost},
    {"renorm", "batch norm corrected by its running statistics (Ioffe 2017)", "", 0, make_renorm},
    {"none", "no normalization", "", 0, nullptr},
}};

const NormKind& find_kind(const std::string& name) {
  std::vector<std::string> names;
  for (const NormKind& kind : kKinds) {
    if (kind.name == name) return kind;
    names.emplace_back(kind.name);
  }
  const std::string hint = did_you_mean(name, names);
  fail<UsageError>("[net] there is no norm '{}'{}", name,
                   hint.empty() ? "; known are batch, group, layer, instance, rms, ghost, renorm "
                                  "and none"
                                : hint);
}

std::int64_t parse_number(const NormKind& kind, const std::string& text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < 1) {
    fail<UsageError>("[net] norm {0} takes a number of {1}, as in {0}:{2}; got '{3}'", kind.name,
                     kind.number, kind.fallback, text);
  }
  return number;
}

}  // namespace

std::span<const NormKind> norm_kinds() { return kKinds; }

NormChoice parse_norm(const std::string& text) {
  const std::size_t colon = text.find(':');
  const NormKind& kind = find_kind(text.substr(0, colon));
  if (colon == std::string::npos) return {&kind, kind.fallback};
  if (kind.number.empty()) {
    fail<UsageError>("[net] norm {} takes no number, got '{}'", kind.name, text);
  }
  return {&kind, parse_number(kind, text.substr(colon + 1))};
}

}  // namespace evenkeel::model
