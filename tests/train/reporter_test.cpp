#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "train/runs.h"

namespace evenkeel::train {
namespace {

using testing::contains;
using testing::read_text;
using testing::TemporaryFolder;
using testing::tiny_settings;
using testing::tiny_splits;

std::string printed(const TemporaryFolder& folder, const Settings& settings, bool validation) {
  std::FILE* const file = std::fopen((folder / "printed").c_str(), "w");
  TerminalReporter reporter(file, file);
  Trainer(settings, tiny_splits(validation), &reporter).run();
  std::fclose(file);
  return read_text(folder / "printed");
}

TEST(TerminalReporter, PrintsPlainLinesWhereThereIsNoTerminal) {
  const TemporaryFolder folder;
  const std::string text = printed(folder, tiny_settings(folder / "run"), false);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  const auto last = text.rfind("run folder");
  ASSERT_NE(last, std::string::npos);
  // The rest of that line, header, three epochs, accuracy, speed.
  EXPECT_EQ(std::count(text.begin() + static_cast<std::ptrdiff_t>(last), text.end(), '\n'), 7);
  EXPECT_TRUE(contains(text, "test accuracy"));
}

TEST(TerminalReporter, AlignsItsColumns) {
  const TemporaryFolder folder;
  for (const bool validation : {false, true}) {
    Settings settings = tiny_settings(folder / "run");
    settings.replace = true;
    std::istringstream lines(printed(folder, settings, validation));
    std::size_t width = 0;
    std::string line;
    while (std::getline(lines, line)) {
      if (line.find("epoch ") != std::string::npos) width = line.size();
      if (line.find("/3  ") != std::string::npos) {
        EXPECT_EQ(line.size(), width);
      }
    }
    EXPECT_GT(width, 0U);
  }
}

/// What the reporter makes of made-up news.
std::string told(const std::function<void(TerminalReporter&)>& tell) {
  const TemporaryFolder folder;
  std::FILE* const file = std::fopen((folder / "printed").c_str(), "w");
  TerminalReporter reporter(file, file);
  tell(reporter);
  std::fclose(file);
  return read_text(folder / "printed");
}

RunInfo large_run() {
  RunInfo info;
  info.settings.net = "paper-mlp";
  info.settings.data = "fashion-mnist:shared/data/fashion-mnist";
  info.settings.optimizer = "adamw";
  info.settings.lr = 0.0012345;
  info.settings.epochs = 1000;
  info.settings.batch_size = 4096;
  info.settings.seed = 123'456'789;
  info.folder = "runs/paper-mlp-fashion-mnist-23";
  info.train_samples = 60'000;
  info.validation_samples = 6'000;
  info.test_samples = 10'000;
  info.parameters = 23'519'690;
  return info;
}

TEST(TerminalReporter, HeaderFitsATerminalAndGroupsDigits) {
  const std::string text = told([](TerminalReporter& reporter) { reporter.on_start(large_run()); });
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
  EXPECT_TRUE(contains(text, "23,519,690 parameters"));
  EXPECT_TRUE(contains(text, "60,000 training samples"));
}

TEST(TerminalReporter, ColumnsStayAlignedWhateverTheLoss) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::string text = told([&](TerminalReporter& reporter) {
    reporter.on_start(large_run());
    for (const double loss : {0.5, 123.4, 999.99999, 1e5, 1e100, inf, std::nan("")}) {
      EpochRecord record;
      record.epoch = 1000;
      record.loss = loss;
      record.accuracy = 1;
      record.validation = Evaluation{loss, 0.1, 6000};
      record.lr = 1.23456e-5;
      record.seconds = 1234.5;
      reporter.on_epoch(record);
    }
  });
  std::istringstream lines(text.substr(text.find("    epoch ")));
  std::string header;
  std::getline(lines, header);
  int rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    EXPECT_EQ(line.size(), header.size()) << line;
  }
  EXPECT_EQ(rows, 7);
  EXPECT_LE(header.size(), 80U);
}

TEST(TerminalReporter, TellsHowToGoOnAfterAnInterruption) {
  const TemporaryFolder folder;
  std::FILE* const file = std::fopen((folder / "printed").c_str(), "w");
  TerminalReporter reporter(file, file);
  Trainer trainer(tiny_settings(folder / "my run"), tiny_splits(), &reporter);
  trainer.request_stop();
  trainer.run();
  std::fclose(file);
  EXPECT_TRUE(contains(read_text(folder / "printed"), "my run' --resume"));
}

}  // namespace
}  // namespace evenkeel::train
