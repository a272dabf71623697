// Training with bf16 activations.
#include <gtest/gtest.h>

#include "train/runs.h"

namespace evenkeel::train {
namespace {

using testing::TemporaryFolder;
using testing::tiny_settings;
using testing::tiny_splits;

double accuracy_of(const std::string& net, const std::string& dtype) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.net = net;
  settings.dtype = dtype;
  settings.dropout = 0;
  settings.epochs = 6;
  Trainer trainer(settings, tiny_splits());
  const TrainResult result = trainer.run();
  return result.test->accuracy;
}

TEST(Bf16Training, ReachesWhatSinglePrecisionReaches) {
  for (const std::string net : {"mlp", "convnet"}) {
    const double single = accuracy_of(net, "f32");
    const double half = accuracy_of(net, "bf16");
    EXPECT_GT(single, 0.6) << net;
    EXPECT_NEAR(half, single, 0.06) << net;  // of 100 samples
  }
}

TEST(Bf16Training, ParametersAndCheckpointsAreFloat) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.dtype = "bf16";
  settings.accumulate = 2;
  settings.epochs = 1;
  Trainer(settings, tiny_splits()).run();
  const io::TensorFile file = io::read_safetensors(folder / "run" / "final.safetensors");
  ASSERT_FALSE(file.tensors.empty());
  for (const auto& [name, tensor] : file.tensors) EXPECT_NE(tensor.dtype(), DType::bf16) << name;
}

}  // namespace
}  // namespace evenkeel::train
