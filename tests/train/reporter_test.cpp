#include <cstdio>

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
  EXPECT_EQ(std::ranges::count(text, '\n'), 7);  // two about the run, header, three epochs, result
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
