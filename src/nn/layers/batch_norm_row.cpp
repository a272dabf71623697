// Batch norm and its renormalized relatives in the layer table.
#include <array>

#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/batch_renorm.h>

namespace evenkeel::nn {
namespace {

/// The value with this name; throws UsageError naming the nearest.
template <class Value, std::size_t count>
Value value_of(const std::string& name, const std::array<Value, count>& values,
               std::string_view layer, std::string_view key) {
  std::vector<std::string> names;
  std::string listed;
  for (const Value value : values) {
    if (name == name_of(value)) return value;
    names.emplace_back(name_of(value));
    listed += (listed.empty() ? "" : ", ") + names.back();
  }
  const std::string hint = did_you_mean(name, names);
  fail<UsageError>("[{}] there is no {} '{}'{}", layer, key, name,
                   hint.empty() ? "; known are " + listed : hint);
}

BatchNormOptions read_settings(const Options& options, std::string_view layer) {
  constexpr std::array kFreezes{Freeze::none, Freeze::statistics, Freeze::affine, Freeze::all};
  constexpr std::array kPolicies{SmallBatch::error, SmallBatch::running_stats};
  BatchNormOptions settings;
  settings.eps = options.get("eps", settings.eps);
  settings.momentum = options.get("momentum", *settings.momentum);
  if (options.get("cumulative", false)) settings.momentum.reset();
  if (options.contains("decay")) settings.decay = options.get("decay", 0.9);
  settings.affine = options.get("affine", true);
  settings.track_running_stats = options.get("track_running_stats", true);
  settings.unbiased = options.get("unbiased", true);
  settings.ghost_size = options.get("ghost_size", settings.ghost_size);
  settings.small_batch =
      value_of(options.get("small_batch", std::string(name_of(settings.small_batch))), kPolicies,
               layer, "small_batch");
  settings.freeze = value_of(options.get("freeze", std::string(name_of(settings.freeze))), kFreezes,
                             layer, "freeze");
  settings.in_place = options.get("in_place", settings.in_place);
  return settings;
}

RenormOptions read_renorm(const Options& options) {
  RenormOptions renorm;
  renorm.r_max = options.get("r_max", renorm.r_max);
  renorm.d_max = options.get("d_max", renorm.d_max);
  renorm.ramp_begin = options.get("ramp_begin", renorm.ramp_begin);
  renorm.ramp_end = options.get("ramp_end", renorm.ramp_end);
  return renorm;
}

const char* const kKeys =
    "num_features, eps, momentum or decay or cumulative, affine, track_running_stats, unbiased, "
    "ghost_size, small_batch, freeze, in_place";

void add_samples(LayerRow& row, const std::vector<Shape>& inputs,
                 const std::vector<Options>& variants) {
  for (const Shape& input : inputs) {
    for (Options variant : variants) {
      variant.set("num_features", input[1]);
      row.samples.push_back({variant, input});
    }
  }
}

template <class Layer>
LayerRow row_of(std::string name, const std::string& shape, const std::vector<Shape>& inputs) {
  LayerRow row;
  row.name = std::move(name);
  row.help = "batch normalization of " + shape + ": " + kKeys;
  row.make = [label = row.name](const Options& options) -> std::unique_ptr<Module> {
    return std::make_unique<Layer>(options.require_int("num_features", label),
                                   read_settings(options, label));
  };
  add_samples(row, inputs,
              {{},
               {{"momentum", 0.3}, {"eps", 1e-3}},
               {{"cumulative", true}, {"unbiased", false}},
               {{"affine", false}},
               {{"track_running_stats", false}},
               {{"ghost_size", std::int64_t{2}}},
               {{"small_batch", std::string("running_stats")}, {"freeze", std::string("affine")}},
               {{"freeze", std::string("statistics")}},
               {{"in_place", true}}});
  return row;
}

/// The samples stay where r and d do not depend on x: before the ramp, or beyond both limits.
template <class Layer>
LayerRow renorm_row_of(std::string name, const std::string& shape,
                       const std::vector<Shape>& inputs) {
  LayerRow row;
  row.name = std::move(name);
  row.help =
      "batch renormalization of " + shape + ": " + kKeys + ", r_max, d_max, ramp_begin, ramp_end";
  row.make = [label = row.name](const Options& options) -> std::unique_ptr<Module> {
    return std::make_unique<Layer>(options.require_int("num_features", label),
                                   read_settings(options, label), read_renorm(options));
  };
  const std::int64_t zero = 0;
  add_samples(row, inputs,
              {{},
               {{"r_max", 1.001}, {"d_max", 0.001}, {"ramp_begin", zero}, {"ramp_end", zero}},
               {{"r_max", 1.0},
                {"d_max", 0.001},
                {"ramp_begin", zero},
                {"ramp_end", zero},
                {"ghost_size", std::int64_t{2}},
                {"affine", false}}});
  return row;
}

}  // namespace

LayerRow batch_norm1d_row() {
  return row_of<BatchNorm1d>("BatchNorm1d", "[N, C] or [N, C, L]", {{5, 3}, {3, 2, 4}});
}
LayerRow batch_norm2d_row() {
  return row_of<BatchNorm2d>("BatchNorm2d", "[N, C, H, W]", {{2, 3, 3, 2}});
}
LayerRow batch_norm3d_row() {
  return row_of<BatchNorm3d>("BatchNorm3d", "[N, C, D, H, W]", {{2, 3, 2, 1, 3}});
}
LayerRow batch_renorm1d_row() {
  return renorm_row_of<BatchRenorm1d>("BatchRenorm1d", "[N, C] or [N, C, L]", {{5, 3}, {3, 2, 4}});
}
LayerRow batch_renorm2d_row() {
  return renorm_row_of<BatchRenorm2d>("BatchRenorm2d", "[N, C, H, W]", {{2, 3, 3, 2}});
}
LayerRow batch_renorm3d_row() {
  return renorm_row_of<BatchRenorm3d>("BatchRenorm3d", "[N, C, D, H, W]", {{2, 3, 2, 1, 3}});
}

}  // namespace evenkeel::nn
