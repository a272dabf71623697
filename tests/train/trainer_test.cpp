#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "train/runs.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::train {
namespace {

namespace fs = std::filesystem;
using testing::contains;
using testing::error_of;
using testing::read_text;
using testing::RecordingReporter;
using testing::same_tensors;
using testing::TemporaryFolder;
using testing::tiny_settings;
using testing::tiny_splits;

TEST(Trainer, LearnsDigits) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.dropout = 0;
  settings.epochs = 8;
  const TrainResult result = Trainer(settings, tiny_splits()).run();
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.steps, 80);
  EXPECT_LT(result.history.back().loss, 0.5 * result.history.front().loss);
  EXPECT_GT(result.history.back().accuracy, 0.9);
  EXPECT_GT(result.test->accuracy, 0.4);
  EXPECT_EQ(result.test->count, 100);
}

TEST(Trainer, WritesARunFolder) {
  const TemporaryFolder folder;
  const TrainResult result = Trainer(tiny_settings(folder / "run"), tiny_splits(true)).run();
  for (const char* name : {"config.toml", "metrics.jsonl", "final.safetensors", "best.safetensors",
                           "checkpoints", "events"}) {
    EXPECT_TRUE(fs::exists(folder / "run" / name)) << name;
  }
  const std::string metrics = read_text(folder / "run/metrics.jsonl");
  EXPECT_TRUE(metrics.starts_with("{\"kind\": \"run\", \"net\": \"mlp\""));
  EXPECT_TRUE(contains(metrics, "\"kind\": \"epoch\", \"epoch\": 3,"));
  EXPECT_TRUE(contains(metrics, "\"test_accuracy\": " + fmt::format("{}", result.test->accuracy)));
  EXPECT_EQ(result.folder, folder / "run");
}

TEST(Trainer, TheStoredWeightsGiveTheReportedAccuracy) {
  const TemporaryFolder folder;
  const TrainResult result = Trainer(tiny_settings(folder / "run"), tiny_splits()).run();
  model::LoadedNetwork loaded = model::load_run(folder / "run");
  const Evaluation evaluation =
      evaluate(*loaded.network, tiny_splits().test, {loaded.recipe.mean, loaded.recipe.stddev});
  EXPECT_EQ(evaluation.accuracy, result.test->accuracy);
  EXPECT_NEAR(evaluation.loss, result.test->loss, 1e-6);
}

TEST(Trainer, TheSameSeedGivesTheSameBits) {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b"}) Trainer(tiny_settings(folder / name), tiny_splits()).run();
  Settings other = tiny_settings(folder / "c");
  other.seed = 2;
  Trainer(other, tiny_splits()).run();
  EXPECT_TRUE(same_tensors(folder / "a/final.safetensors", folder / "b/final.safetensors"));
  EXPECT_FALSE(same_tensors(folder / "a/final.safetensors", folder / "c/final.safetensors"));
}

TEST(Trainer, DeterministicRunsHaveTheSameBitsForAnyNumberOfThreads) {
  const TemporaryFolder folder;
  const int before = max_threads();
  for (const int threads : {1, 3}) {
    Settings settings = tiny_settings(folder / fmt::format("{}", threads));
    settings.threads = threads;
    settings.deterministic = true;
    Trainer(settings, tiny_splits()).run();
  }
  set_max_threads(before);
  EXPECT_TRUE(same_tensors(folder / "1/final.safetensors", folder / "3/final.safetensors"));
}

TEST(Trainer, FusionKeepsTheBits) {
  const TemporaryFolder folder;
  for (const bool fusion : {false, true}) {
    Settings settings = tiny_settings(folder / (fusion ? "fused" : "plain"));
    settings.fusion = fusion;
    Trainer(settings, tiny_splits()).run();
  }
  EXPECT_TRUE(same_tensors(folder / "fused/final.safetensors", folder / "plain/final.safetensors"));
}

TEST(Trainer, EvaluatingInBetweenDoesNotChangeTheRun) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "plain");
  Trainer(settings, tiny_splits()).run();
  settings.out = (folder / "watched").string();
  settings.eval_every = 4;
  const TrainResult result = Trainer(settings, tiny_splits()).run();
  EXPECT_TRUE(
      same_tensors(folder / "plain/final.safetensors", folder / "watched/final.safetensors"));
  ASSERT_EQ(result.evaluations.size(), 8U);  // 4, 8, … 28, and the last step
  EXPECT_EQ(result.evaluations.back().step, 30);
  EXPECT_EQ(result.evaluations.back().evaluation.accuracy, result.test->accuracy);
}

TEST(Trainer, SaysWhenAnAccuracyWasReached) {
  TrainResult result;
  result.evaluations = {{10, {1.0, 0.5, 100}}, {20, {0.5, 0.8, 100}}, {30, {0.6, 0.7, 100}}};
  EXPECT_EQ(result.steps_to(0.7), 20);
  EXPECT_EQ(result.steps_to(0.5), 10);
  EXPECT_EQ(result.steps_to(0.9), std::nullopt);
}

TEST(Trainer, StopsEarlyWhereNothingGetsBetter) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.epochs = 20;
  settings.lr = 1e-12;  // nothing is learned, so the first epoch stays the best
  settings.momentum = 0;
  settings.validation = 0.2;
  settings.patience = 2;
  const TrainResult result = Trainer(settings, tiny_splits(true)).run();
  EXPECT_TRUE(result.stopped_early);
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.best_epoch, 1);
  EXPECT_EQ(result.history.size(), 3U);
  EXPECT_TRUE(result.test.has_value());
}

TEST(Trainer, ShowsEveryStepToTheReporter) {
  const TemporaryFolder folder;
  RecordingReporter reporter;
  Trainer(tiny_settings(folder / "run"), tiny_splits(), &reporter).run();
  EXPECT_EQ(reporter.start.total_steps, 30);
  EXPECT_EQ(reporter.start.parameters, 784 * 256 + 512 + 256 * 128 + 256 + 1290);
  ASSERT_EQ(reporter.steps.size(), 30U);
  EXPECT_EQ(reporter.steps.back().step, 30);
  EXPECT_EQ(reporter.steps.back().epoch, 3);
  EXPECT_TRUE(reporter.warnings.empty());
}

TEST(Trainer, TrainsConvolutionsOnColourImages) {
  const TemporaryFolder folder;
  data::Splits splits;
  splits.train.samples = Tensor::zeros({12, 3, 32, 32}, DType::u8);
  Random random(1);
  for (std::uint8_t& value : splits.train.samples.span<std::uint8_t>()) {
    value = static_cast<std::uint8_t>(random.below(256));
  }
  for (std::int32_t i = 0; i < 12; ++i) splits.train.labels.push_back(i % 3);
  splits.train.classes = 3;
  Settings settings = tiny_settings(folder / "run");
  settings.net = "resnet20";
  settings.dropout = 0;
  settings.epochs = 1;
  settings.batch_size = 4;
  Trainer trainer(settings, splits);
  EXPECT_EQ(trainer.settings().augment, "flip,crop");
  EXPECT_EQ(trainer.settings().layout, "channels_last");
  const TrainResult result = trainer.run();
  EXPECT_EQ(result.steps, 3);
  EXPECT_TRUE(std::isfinite(result.history[0].loss));
  EXPECT_FALSE(result.test.has_value());
}

TEST(Trainer, RunsOnce) {
  const TemporaryFolder folder;
  Trainer trainer(tiny_settings(folder / "run"), tiny_splits());
  trainer.run();
  EXPECT_THROW(trainer.run(), StateError);
}

TEST(BadInput, AnOutputFolderThatCannotBeWrittenIsFoundBeforeTraining) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "in the way";
  RecordingReporter reporter;
  EXPECT_TRUE(
      contains(error_of<IoError>([&] {
                 Trainer(tiny_settings(folder / "file/run"), tiny_splits(), &reporter).run();
               }),
               "file"));
  EXPECT_TRUE(reporter.steps.empty());
}

TEST(BadInput, AFolderThatHoldsARunIsNotOverwritten) {
  const TemporaryFolder folder;
  Trainer(tiny_settings(folder / "run"), tiny_splits()).run();
  const std::string before = read_text(folder / "run/metrics.jsonl");
  EXPECT_TRUE(contains(
      error_of<IoError>([&] { Trainer(tiny_settings(folder / "run"), tiny_splits()).run(); }),
      "holds a run already"));
  EXPECT_EQ(read_text(folder / "run/metrics.jsonl"), before);
  Settings settings = tiny_settings(folder / "run");
  settings.replace = true;
  EXPECT_TRUE(Trainer(settings, tiny_splits()).run().finished);
}

TEST(BadInput, DataThatIsMissingIsFoundBeforeTheFolderIsMade) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.data = "mnist:" + (folder / "nowhere").string();
  EXPECT_TRUE(contains(error_of<IoError>([&] { Trainer{settings}; }), "nowhere"));
  settings.data = "mnits:x";
  EXPECT_TRUE(contains(error_of<UsageError>([&] { Trainer{settings}; }), "mnist"));
  EXPECT_FALSE(fs::exists(folder / "run"));
}

TEST(BadInput, ANetworkThatDoesNotFitTheDataIsNamed) {
  const TemporaryFolder folder;
  data::Splits splits;
  splits.train.samples = Tensor::zeros({8, 5});
  splits.train.labels.assign(8, 0);
  splits.train.classes = 2;
  Settings settings = tiny_settings(folder / "run");
  settings.dropout = 0;
  settings.net = "resnet20";
  EXPECT_TRUE(contains(error_of<ShapeError>([&] { Trainer(settings, splits); }), "resnet20"));
}

TEST(BadInput, OneSampleIsNotEnough) {
  const TemporaryFolder folder;
  data::Splits splits = tiny_splits();
  splits.train = splits.train.slice(0, 1);
  EXPECT_TRUE(
      contains(error_of<UsageError>([&] { Trainer(tiny_settings(folder / "run"), splits); }),
               "two training samples"));
}

/// Rows of numbers in two classes, of which one row can be spoiled after the trainer measured them.
data::Splits rows() {
  data::Splits splits;
  splits.train.samples = Tensor::zeros({64, 6});
  Random random(4);
  random.fill_normal(splits.train.samples.span<float>(), 0, 1);
  for (std::int64_t i = 0; i < 64; ++i) {
    splits.train.labels.push_back(splits.train.samples.data<float>()[6 * i] > 0 ? 1 : 0);
  }
  splits.train.classes = 2;
  return splits;
}

TEST(NotFinite, ASampleIsReportedSkippedAndKeptOutOfTheStatistics) {
  const TemporaryFolder folder;
  data::Splits splits = rows();
  Settings settings = tiny_settings(folder / "run");
  settings.batch_size = 8;
  settings.dropout = 0;
  RecordingReporter reporter;
  Trainer trainer(settings, splits, &reporter);
  splits.train.samples.data<float>()[6 * 17] = std::numeric_limits<float>::quiet_NaN();
  const TrainResult result = trainer.run();
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.skipped, 3);             // one batch of each epoch
  ASSERT_EQ(reporter.warnings.size(), 1U);  // of the first; the others are counted
  EXPECT_TRUE(contains(reporter.warnings[0], "BatchNorm1d"));
  EXPECT_TRUE(contains(reporter.warnings[0], "the loss is nan"));
  EXPECT_TRUE(contains(reporter.warnings[0], "skipped"));
  for (const auto& [name, tensor] : trainer.network().state_dict()) {
    const Tensor values = tensor.to(DType::f64);
    for (const double value : values.span<double>()) EXPECT_TRUE(std::isfinite(value)) << name;
  }
  for (const EpochRecord& record : result.history) {
    EXPECT_TRUE(std::isfinite(record.loss));
    EXPECT_EQ(record.skipped, 1);
  }
}

TEST(NotFinite, ARateThatIsFarTooHighEndsTheRunWithAdvice) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.norm = "none";
  settings.lr = 1e30;
  settings.schedule = "constant";
  settings.epochs = 20;
  const std::string message =
      error_of<NumericError>([&] { Trainer(settings, tiny_splits()).run(); });
  EXPECT_TRUE(contains(message, "20 steps in a row"));
  EXPECT_TRUE(contains(message, "lower 'lr'"));
}

}  // namespace
}  // namespace evenkeel::train
