// A run in this process: twelve steps, checkpoints after 4, 8 and 12.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <evenkeel/core/random.h>
#include <evenkeel/train/train.h>

namespace evenkeel::testing {

/// 64 samples of four features and three classes.
inline data::Splits small_splits() {
  data::Splits splits;
  Random random(5);
  splits.train.samples = Tensor::empty({64, 4});
  random.fill_normal(splits.train.samples.span<float>(), 0, 1);
  for (int i = 0; i < 64; ++i) splits.train.labels.push_back(i % 3);
  splits.train.classes = 3;
  splits.test = splits.train.slice(0, 16);
  splits.validation = splits.train.slice(16, 32);
  return splits;
}

/// Three epochs of four steps with all that has a state.
inline train::Settings small_settings(const std::filesystem::path& out, std::uint64_t seed = 1,
                                      std::int64_t hidden = 6) {
  train::Settings settings;
  settings.net = "config";
  using Options = std::vector<std::pair<std::string, std::int64_t>>;
  const auto layer = [&](const std::string& type, const Options& options) {
    model::LayerSpec spec;
    spec.type = type;
    for (const auto& [key, value] : options) spec.options.set(key, OptionValue(value));
    settings.layers.push_back(spec);
  };
  layer("Linear", {{"in_features", 4}, {"out_features", hidden}});
  layer("BatchNorm1d", {{"num_features", hidden}});
  layer("ReLU", {});
  layer("Dropout", {});
  layer("Linear", {{"in_features", hidden}, {"out_features", 3}});
  settings.data = "small";
  settings.epochs = 3;
  settings.batch_size = 16;
  settings.eval_every = 3;
  settings.threads = 1;
  settings.seed = seed;
  settings.out = out.string();
  return settings;
}

}  // namespace evenkeel::testing
