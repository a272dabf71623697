// Runs that stand in several cells.
#include "lab/shared_runs.h"

#include <gtest/gtest.h>

namespace evenkeel::lab {
namespace {

TEST(SharedRuns, makes_each_run_once) {
  SharedRuns runs;
  int made = 0;
  const auto value_of = [&](const Cell& cell, const std::string& key) {
    const auto run = [&] { return Measurement{.values = {{"made", ++made}}, .series = {}}; };
    return runs.measure(cell, key, run).values.at("made");
  };
  const Cell cell{.arm = "a", .at = {{"place", 0}, {"rate", 0.1}}};
  Cell beside = cell;
  beside.arm = "b";
  beside.at[0].second = 1;
  EXPECT_EQ(value_of(cell, "x"), 1);
  EXPECT_EQ(value_of(beside, "x"), 1);  // the key says that it is the same network
  EXPECT_EQ(value_of(cell, "y"), 2);
  Cell other = cell;
  other.seed = 2;
  EXPECT_EQ(value_of(other, "x"), 3);
  other = cell;
  other.stage = "tune";
  EXPECT_EQ(value_of(other, "x"), 4);
  other = cell;
  other.at[1].second = 0.3;
  EXPECT_EQ(value_of(other, "x"), 5);
}

}  // namespace
}  // namespace evenkeel::lab
