// Training on sequences of different lengths.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "train/runs.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/train/train.h>

namespace evenkeel::train {
namespace {

using testing::contains;
using testing::error_of;
using testing::RecordingReporter;
using testing::same_tensors;
using testing::TemporaryFolder;

constexpr std::int64_t kSteps = 9;

/// Noise of 1 to 9 steps of two values; the class is the sign of the first value of the first step.
/// Padding is NaN: whoever looks at it is found out.
data::Dataset first_signs(std::int64_t count, std::uint64_t seed) {
  data::Dataset result;
  result.samples = Tensor::full({count, 2, kSteps}, std::nan(""));
  result.classes = 2;
  Random random(seed);
  for (std::int64_t n = 0; n < count; ++n) {
    float* const values = result.samples.data<float>() + n * 2 * kSteps;
    result.lengths.push_back(static_cast<std::int64_t>(1 + random.below(kSteps)));
    for (std::int64_t t = 0; t < result.lengths.back(); ++t) {
      values[t] = static_cast<float>(random.normal());
      values[kSteps + t] = static_cast<float>(random.normal());
    }
    result.labels.push_back(values[0] > 0 ? 1 : 0);
  }
  return result;
}

data::Splits splits() {
  return {
      .train = first_signs(240, 1), .validation = first_signs(40, 2), .test = first_signs(200, 3)};
}

Settings settings_for(const std::string& layers, const TemporaryFolder& folder,
                      const std::string& out = "run") {
  Settings settings = settings_from(model::parse_config(layers, "layers"));
  settings.data = "tiny";
  settings.epochs = 10;
  settings.batch_size = 32;
  settings.optimizer = "adamw";
  settings.lr = 0.02;
  settings.threads = 1;
  settings.out = (folder / out).string();
  return settings;
}

std::string recurrent(const std::string& type, const std::string& more = "") {
  return "[[layer]]\ntype = \"" + type + "\"\ninput_size = 2\nhidden_size = 8\n" + more +
         "\n[[layer]]\ntype = \"LastStep\"\n"
         "[[layer]]\ntype = \"Linear\"\nin_features = 8\nout_features = 2\n";
}

const std::string kEncoder =
    "[[layer]]\ntype = \"Conv1d\"\nin_channels = 2\nout_channels = 16\nkernel_size = 1\n"
    "[[layer]]\ntype = \"BatchNorm1d\"\nnum_features = 16\n"
    "[[layer]]\ntype = \"PositionalEncoding\"\nchannels = 16\nkind = \"learned\"\nmax_steps = 9\n"
    "[[layer]]\ntype = \"EncoderLayer\"\nembed_dim = 16\nnum_heads = 2\ndropout = 0.01\n"
    "[[layer]]\ntype = \"MeanOverTime\"\n"
    "[[layer]]\ntype = \"Linear\"\nin_features = 16\nout_features = 2\n";

TEST(SequenceTraining, EveryKindOfLayerLearnsToRemember) {
  const TemporaryFolder folder;
  for (const std::string& layers :
       {recurrent("LSTM"), recurrent("GRU"), recurrent("LSTM", "norm = \"layer\""),
        recurrent("LSTM", "norm = \"batch\"\nmax_steps = 5"), kEncoder}) {
    Settings settings = settings_for(layers, folder);
    settings.replace = true;
    if (layers == kEncoder) settings.epochs = 25;  // it must learn where a sequence begins
    const TrainResult result = Trainer(settings, splits()).run();
    EXPECT_EQ(result.skipped, 0) << layers;
    EXPECT_GE(result.test->accuracy, 0.85) << layers;
  }
}

TEST(SequenceTraining, AResumedRunEndsWithTheSameBits) {
  const TemporaryFolder folder;
  const std::string layers =
      recurrent("LSTM", "norm = \"batch\"\nnum_layers = 2\ndropout = 0.3\nmax_steps = 5");
  Settings settings = settings_for(layers, folder, "whole");
  settings.epochs = 3;
  Trainer(settings, splits()).run();
  settings.out = (folder / "parts").string();
  {
    RecordingReporter reporter;
    Trainer trainer(settings, splits(), &reporter);
    reporter.at_step = [&](const StepInfo& info) {
      if (info.step == 11) trainer.request_stop();
    };
    EXPECT_FALSE(trainer.run().finished);
  }
  EXPECT_TRUE(Trainer(stored_settings(folder / "parts"), splits()).run().finished);
  EXPECT_TRUE(same_tensors(folder / "whole/final.safetensors", folder / "parts/final.safetensors"));
}

TEST(SequenceTraining, TheNumberOfThreadsChangesNoBit) {
  const TemporaryFolder folder;
  const int before = max_threads();
  for (const std::string& layers : {recurrent("LSTM", "norm = \"batch\""), kEncoder}) {
    for (const std::int64_t threads : {1, 3}) {
      Settings settings = settings_for(layers, folder, fmt::format("run{}", threads));
      settings.epochs = 1;
      settings.threads = threads;
      settings.deterministic = true;
      settings.replace = true;
      Trainer(settings, splits()).run();
    }
    EXPECT_TRUE(same_tensors(folder / "run1/final.safetensors", folder / "run3/final.safetensors"));
  }
  set_max_threads(before);
}

TEST(SequenceTraining, EvaluationDoesNotDependOnHowSequencesAreBatched) {
  const TemporaryFolder folder;
  Settings settings = settings_for(recurrent("LSTM", "norm = \"batch\""), folder);
  settings.epochs = 2;
  Trainer trainer(settings, splits());
  trainer.run();
  const data::Dataset test = splits().test;
  const Evaluation one =
      evaluate(trainer.network(), test, trainer.normalization(),
               {.batch_size = 1, .layout = Layout::channels_last, .progress = {}});
  const Evaluation many = evaluate(trainer.network(), test, trainer.normalization(),
                                   {.batch_size = 200, .progress = {}});
  EXPECT_EQ(one.accuracy, many.accuracy);
  EXPECT_NEAR(one.loss, many.loss, 1e-6);
  EXPECT_FALSE(trainer.network().lengths().given()) << "the network is left as it was";
}

TEST(SequenceTraining, AccumulationTakesTheLengthsOfItsParts) {
  const TemporaryFolder folder;
  Settings settings = settings_for(recurrent("GRU"), folder);
  settings.epochs = 1;
  settings.accumulate = 3;
  EXPECT_EQ(Trainer(settings, splits()).run().skipped, 0);
}

TEST(SequenceTraining, ANetworkForOneLengthAloneIsRefusedAtOnce) {
  const TemporaryFolder folder;
  const std::string message = error_of<ShapeError>([&] {
    Trainer(settings_for("[[layer]]\ntype = \"Flatten\"\n[[layer]]\ntype = \"Linear\"\n"
                         "in_features = 18\nout_features = 2\n",
                         folder),
            splits());
  });
  EXPECT_TRUE(contains(message, "got one for 9 alone"));
  EXPECT_TRUE(contains(message, "MeanOverTime or LastStep"));
}

/// The accuracies of seeds 1 to 5 of one of examples/configs on Japanese Vowels, lowest first.
std::vector<double> accuracies_of(const std::string& config, const std::string& folder) {
  std::vector<double> result;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const TemporaryFolder out;
    Settings settings = settings_from(model::read_config(EVENKEEL_CONFIGS "/" + config));
    settings.data = "sequence:" + folder + "/japanese_vowels";
    settings.seed = seed;
    settings.out = (out / "run").string();
    result.push_back(Trainer(settings).run().test->accuracy);
  }
  std::ranges::sort(result);
  return result;
}

TEST(JapaneseVowelsLong, TheMedianOfFiveSeedsIs95PercentOrMore) {
  const char* folder = std::getenv("EVENKEEL_DATA");
  if (folder == nullptr || *folder == '\0') {
    GTEST_SKIP() << "EVENKEEL_DATA is not set: it names the folder with japanese_vowels/";
  }
  for (const char* config : {"japanese-vowels.toml", "japanese-vowels-batch-norm.toml",
                             "japanese-vowels-layer-norm.toml", "japanese-vowels-encoder.toml"}) {
    const auto accuracies = accuracies_of(config, folder);
    EXPECT_GE(accuracies[2], 0.95) << config;
  }
}

}  // namespace
}  // namespace evenkeel::train
