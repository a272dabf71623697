// Training that saves memory: the same bits, fewer bytes.
#include <gtest/gtest.h>
#include <signal.h>

#include "train/runs.h"
#include "train/stepper.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/memory.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::train {
namespace {

using testing::error_of;
using testing::RecordingReporter;
using testing::same_tensors;
using testing::TemporaryFolder;
using testing::tiny_settings;
using testing::tiny_splits;

/// A network, its optimizer and a batch that stays.
class Training {
 public:
  Training(const std::string& net, Layout layout, nn::Memory memory, std::int64_t samples,
           std::int64_t extent, const std::string& activation = "auto") {
    model::NetworkOptions options;
    options.net = net;
    options.activation = activation;
    options.input = {3, extent, extent};
    network_ = model::build_network(options, 5);
    network_->set_needs_input_gradient(false);
    nn::fuse(*network_);
    nn::set_memory(*network_, memory);
    optimizer_ = std::make_unique<optim::Sgd>(optim::make_groups(*network_));
    stepper_ = std::make_unique<Stepper>(*network_, *optimizer_, 0.0, 0.0);
    Tensor x = Tensor::empty({samples, 3, extent, extent});
    Random random(6);
    random.fill_normal(x.span<float>(), 0, 1);
    batch_.x = x.to(layout);
    for (std::int64_t i = 0; i < samples; ++i) batch_.labels.push_back(static_cast<int>(i % 10));
    network_->train();
  }

  StepOutcome step() { return stepper_->step(batch_, 0.05); }

  /// The most bytes that one step has in use beyond what stays.
  std::size_t peak() {
    reset_peak_memory();
    const std::size_t before = memory_stats().current;
    step();
    return memory_stats().peak - before;
  }

  Tensor evaluate() {
    network_->eval();
    Tensor y = network_->forward(batch_.x);
    network_->train();
    return y;
  }

  /// Of parameters, statistics and optimizer.
  std::vector<std::byte> bits() {
    std::vector<std::byte> result;
    for (const nn::StateDict& state : {network_->state_dict(), optimizer_->state_dict()}) {
      for (const auto& [name, tensor] : state) {
        const auto* const from =
            static_cast<const std::byte*>(static_cast<const Tensor&>(tensor).raw());
        result.insert(result.end(), from, from + tensor.bytes());
      }
    }
    return result;
  }

 private:
  std::unique_ptr<nn::Module> network_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::unique_ptr<Stepper> stepper_;
  data::Batch batch_;
};

class SavedMemory : public ::testing::TestWithParam<std::string> {};

TEST_P(SavedMemory, TrainsWithTheSameBits) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Training keeping(GetParam(), layout, nn::Memory::keep, 6, 16);
    Training saving(GetParam(), layout, nn::Memory::save, 6, 16);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(saving.step().loss, keeping.step().loss) << i;
      ASSERT_EQ(saving.bits(), keeping.bits()) << i;
    }
    const Tensor expected = keeping.evaluate(), got = saving.evaluate();
    EXPECT_EQ(0, std::memcmp(got.raw(), expected.raw(), expected.bytes()));
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, SavedMemory,
                         ::testing::Values("mlp", "convnet", "resnet20", "resnet50",
                                           "preact-resnet20", "densenet-small", "mobilenet-small",
                                           "inception-small"),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(SavedMemory, OfAResidualNetworkIsSixTenthsOfItsPeak) {
  Training keeping("resnet20", Layout::channels_last, nn::Memory::keep, 64, 32);
  Training normal("resnet20", Layout::channels_last, nn::Memory::normal, 64, 32);
  Training saving("resnet20", Layout::channels_last, nn::Memory::save, 64, 32);
  for (Training* training : {&keeping, &normal, &saving}) training->step();
  const auto most = static_cast<double>(keeping.peak());
  EXPECT_LE(static_cast<double>(normal.peak()), 0.9 * most);
  EXPECT_LE(static_cast<double>(saving.peak()), 0.6 * most);
  EXPECT_EQ(normal.bits(), keeping.bits());
  EXPECT_EQ(saving.bits(), keeping.bits());
}

TEST(SavedMemory, BehindLeakyReluTrainsWithTheSameDigits) {
  for (const char* const net :
       {"mlp", "convnet", "resnet20", "preact-resnet20", "densenet-small"}) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      Training keeping(net, layout, nn::Memory::keep, 6, 16, "leaky_relu:0.1");
      Training saving(net, layout, nn::Memory::save, 6, 16, "leaky_relu:0.1");
      EXPECT_EQ(saving.step().loss, keeping.step().loss) << net;  // of the same weights
      for (int i = 0; i < 2; ++i) {
        const double expected = keeping.step().loss;
        EXPECT_NEAR(saving.step().loss, expected, 1e-3 * expected) << net;
      }
    }
  }
}

TEST(SavedMemory, BehindLeakyReluIsLessThanWithReLU) {
  Training keeping("resnet20", Layout::channels_last, nn::Memory::keep, 64, 32, "leaky_relu");
  Training saving("resnet20", Layout::channels_last, nn::Memory::save, 64, 32, "leaky_relu");
  Training relu("resnet20", Layout::channels_last, nn::Memory::save, 64, 32);
  for (Training* training : {&keeping, &saving, &relu}) training->step();
  const auto peak = static_cast<double>(saving.peak());
  EXPECT_LE(peak, 0.57 * static_cast<double>(keeping.peak()));
  EXPECT_LE(peak, 0.99 * static_cast<double>(relu.peak()));
}

Settings settings_with(const std::filesystem::path& out, const std::string& memory) {
  Settings settings = tiny_settings(out);
  settings.memory = memory;
  return settings;
}

TEST(SavedMemory, MakesTheSameRunAndMayChangeWhenItIsResumed) {
  const TemporaryFolder folder;
  for (const std::string memory : {"normal", "save"}) {
    const std::string other = memory == "normal" ? "save" : "keep";
    Trainer(settings_with(folder / memory, memory), tiny_splits()).run();
    RecordingReporter reporter;
    Trainer first(settings_with(folder / (memory + "-parts"), memory), tiny_splits(), &reporter);
    reporter.at_step = [&](const StepInfo& info) {
      if (info.step == 14) first.request_stop(SIGTERM);
    };
    EXPECT_FALSE(first.run().finished);
    Settings rest = stored_settings(folder / (memory + "-parts"));
    EXPECT_EQ(rest.memory, memory);
    rest.memory = other;
    EXPECT_TRUE(Trainer(rest, tiny_splits()).run().finished);
    EXPECT_TRUE(same_tensors(folder / memory / "final.safetensors",
                             folder / (memory + "-parts") / "final.safetensors"));
  }
  EXPECT_TRUE(same_tensors(folder / "normal/final.safetensors", folder / "save/final.safetensors"));
}

TEST(SavedMemory, IsAWordOfTheSettings) {
  Settings settings;
  set_from_text(settings, "memory", "save");
  EXPECT_EQ(settings.memory, "save");
  EXPECT_NE(error_of<UsageError>([&] { set_from_text(settings, "memory", "sav"); }).find("save"),
            std::string::npos);
}

}  // namespace
}  // namespace evenkeel::train
