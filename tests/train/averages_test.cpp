// Averages of the weights: what they are, that they survive an interruption, and what they are
// worth.
#include "train/averages.h"

#include <cmath>

#include <gtest/gtest.h>

#include "train/runs.h"
#include <evenkeel/data/loader.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/nn/recalibration.h>

namespace evenkeel::train {
namespace {

namespace fs = std::filesystem;
using testing::contains;
using testing::error_of;
using testing::RecordingReporter;
using testing::same_tensors;
using testing::TemporaryFolder;
using testing::tiny_settings;
using testing::tiny_splits;

using Weights = std::vector<std::vector<double>>;

Weights weights_of(nn::Module& network) {
  Weights all;
  for (const auto& [name, parameter] : network.parameters()) {
    const Tensor wide = parameter->value.to(DType::f64);
    const auto span = wide.span<double>();
    all.emplace_back(span.begin(), span.end());
  }
  return all;
}

/// The run, and the weights after each of its steps.
std::vector<Weights> run_and_record(const Settings& settings) {
  std::vector<Weights> steps;
  RecordingReporter reporter;
  Trainer trainer(settings, tiny_splits(), &reporter);
  reporter.at_step = [&](const StepInfo&) { steps.push_back(weights_of(trainer.network())); };
  EXPECT_TRUE(trainer.run().finished);
  return steps;
}

/// Of the weights in a file, rounded to f32 there.
void expect_weights(const fs::path& file, const Weights& wanted) {
  const model::LoadedNetwork loaded = model::load_network(file);
  const Weights got = weights_of(*loaded.network);
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    ASSERT_EQ(got[k].size(), wanted[k].size());
    for (std::size_t i = 0; i < got[k].size(); ++i) {
      ASSERT_NEAR(got[k][i], wanted[k][i], 1e-7 * std::abs(wanted[k][i]) + 1e-40) << k << " " << i;
    }
  }
}

TEST(Averages, EmaIsThatOfADoubleReference) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.ema = 0.8;
  const std::vector<Weights> steps = run_and_record(settings);
  ASSERT_EQ(steps.size(), 30U);
  Weights average = steps[0];
  for (std::size_t n = 1; n < steps.size(); ++n) {
    const double count = static_cast<double>(n);
    const double decay = std::min(0.8, (1 + count) / (10 + count));
    for (std::size_t k = 0; k < average.size(); ++k) {
      for (std::size_t i = 0; i < average[k].size(); ++i) {
        average[k][i] = decay * average[k][i] + (1 - decay) * steps[n][k][i];
      }
    }
  }
  expect_weights(folder / "run/ema.safetensors", average);
  EXPECT_FALSE(fs::exists(folder / "run/swa.safetensors"));
}

TEST(Averages, SwaIsTheMeanOfTheEpochsBehindItsStart) {
  for (const double start : {1.0, 0.34}) {  // after the first of three epochs
    const TemporaryFolder folder;
    Settings settings = tiny_settings(folder / "run");
    settings.swa = start;
    const std::vector<Weights> steps = run_and_record(settings);
    Weights mean = steps[19];
    for (std::size_t k = 0; k < mean.size(); ++k) {
      for (std::size_t i = 0; i < mean[k].size(); ++i) {
        mean[k][i] = (mean[k][i] + steps[29][k][i]) / 2;
      }
    }
    expect_weights(folder / "run/swa.safetensors", mean);
    EXPECT_FALSE(fs::exists(folder / "run/ema.safetensors"));
  }
}

TEST(Averages, TheFirstStepsDoNotWeighForEver) {
  EXPECT_DOUBLE_EQ(ema_decay(0.999, 1), 2.0 / 11);
  EXPECT_DOUBLE_EQ(ema_decay(0.999, 90), 0.91);
  EXPECT_DOUBLE_EQ(ema_decay(0.9, 1000), 0.9);
}

TEST(Averages, TheRateOfAveragingIsConstant) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.swa = 2;
  settings.swa_lr = 0.0125;
  RecordingReporter reporter;
  Trainer(settings, tiny_splits(), &reporter).run();
  ASSERT_EQ(reporter.steps.size(), 30U);
  EXPECT_NE(reporter.steps[19].lr, 0.0125);
  for (std::size_t i = 20; i < 30; ++i) EXPECT_EQ(reporter.steps[i].lr, 0.0125);
}

TEST(Averages, DoNotChangeTheRun) {
  const TemporaryFolder folder;
  Trainer(tiny_settings(folder / "plain"), tiny_splits()).run();
  Settings settings = tiny_settings(folder / "averaged");
  settings.ema = 0.9;
  settings.swa = 0.5;
  Trainer(settings, tiny_splits()).run();
  EXPECT_TRUE(
      same_tensors(folder / "plain/final.safetensors", folder / "averaged/final.safetensors"));
}

class ResumeAverages : public ::testing::TestWithParam<int> {};

TEST_P(ResumeAverages, EndsWithTheSameBits) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "whole");
  settings.ema = 0.9;
  settings.swa = 1;
  settings.swa_lr = 0.02;
  Trainer(settings, tiny_splits()).run();
  settings.out = (folder / "parts").string();
  RecordingReporter reporter;
  Trainer first(settings, tiny_splits(), &reporter);
  reporter.at_step = [&](const StepInfo& info) {
    if (info.step == GetParam()) first.request_stop();
  };
  EXPECT_FALSE(first.run().finished);
  EXPECT_FALSE(fs::exists(folder / "parts/ema.safetensors"));
  const TrainResult second = Trainer(stored_settings(folder / "parts"), tiny_splits()).run();
  EXPECT_TRUE(second.ema && second.swa);
  for (const std::string name : {"final", "ema", "swa"}) {
    EXPECT_TRUE(same_tensors(folder / ("whole/" + name + ".safetensors"),
                             folder / ("parts/" + name + ".safetensors")))
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, ResumeAverages, ::testing::Values(1, 10, 11, 20, 29),
                         [](const auto& row) { return fmt::format("{}", row.param); });

/// Statistics of the file's weights, taken here.
Tensor fresh_mean(const model::LoadedNetwork& loaded, const data::Dataset& samples) {
  data::LoaderOptions loading;
  loading.batch_size = samples.size();
  loading.normalization = {loaded.recipe.mean, loaded.recipe.stddev};
  nn::recalibrate(*loaded.network, [&](const auto& take) {
    data::Loader loader(samples, loading);
    loader.start(0);
    for (data::Batch batch; loader.next(batch);) take(batch.x, nn::Lengths(batch.lengths));
  });
  for (const auto& [name, tensor] : loaded.network->state_dict()) {
    if (name.ends_with("running_mean")) return tensor.clone();
  }
  return {};
}

TEST(Averages, TheirRunningStatisticsAreThoseOfTheirWeights) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.ema = 0.9;
  Trainer(settings, tiny_splits()).run();
  const fs::path file = folder / "run/ema.safetensors";
  const model::LoadedNetwork loaded = model::load_network(file);
  Tensor saved;
  for (const auto& [name, tensor] : loaded.network->state_dict()) {
    if (name.ends_with("running_mean")) {
      saved = tensor.clone();
      break;
    }
  }
  const Tensor fresh = fresh_mean(loaded, tiny_splits().train);
  for (std::int64_t c = 0; c < saved.numel(); ++c) {
    EXPECT_NEAR(saved.data<double>()[c], std::as_const(fresh).data<double>()[c], 1e-6);
  }
}

// At a constant rate the last weights still jump about; their average lies between them.
TEST(Averages, AreBetterThanTheLastWeightsAtAConstantRate) {
  const TemporaryFolder folder;
  Settings settings;
  settings.net = "mlp";
  settings.data = "glyphs:train=3000,test=1000";
  settings.epochs = 6;
  settings.schedule = "constant";
  settings.lr = 0.1;
  settings.threads = 1;
  settings.ema = 0.98;
  settings.swa = 0.5;
  settings.out = (folder / "run").string();
  const TrainResult result = Trainer(settings).run();
  ASSERT_TRUE(result.test && result.ema && result.swa);
  std::cout << "test accuracy " << result.test->accuracy << ", ema " << result.ema->accuracy
            << ", swa " << result.swa->accuracy << "\n";
  EXPECT_GT(result.ema->accuracy, 0.89);
  EXPECT_GT(result.swa->accuracy, 0.89);
  EXPECT_GT(result.ema->accuracy, result.test->accuracy);
  EXPECT_GT(result.swa->accuracy, result.test->accuracy);
}

TEST(Averages, NetworksWithoutBatchNormHaveThemToo) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.norm = "none";
  settings.ema = 0.9;
  EXPECT_TRUE(Trainer(settings, tiny_splits()).run().ema.has_value());
}

TEST(Averages, SettingsThatMakeNoSenseAreRefused) {
  const TemporaryFolder folder;
  const auto error_with = [&](double swa, std::optional<double> rate) {
    Settings settings = tiny_settings(folder / "run");
    settings.swa = swa;
    settings.swa_lr = rate;
    return error_of<UsageError>([&] { Trainer(settings, tiny_splits()); });
  };
  EXPECT_TRUE(contains(error_with(3, {}), "leaves no epoch of 3"));
  EXPECT_TRUE(contains(error_with(1.5, {}), "whole number of epochs"));
  EXPECT_TRUE(contains(error_with(0, 0.1), "'swa_lr' needs averaging"));
  Settings settings;
  EXPECT_TRUE(contains(error_of<UsageError>([&] { set_from_text(settings, "ema", "1"); }), "ema"));
}

}  // namespace
}  // namespace evenkeel::train
