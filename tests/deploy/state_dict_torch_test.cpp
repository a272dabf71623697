// Weights to PyTorch and back: a network trained here gives the same outputs there, and one saved
// there gives the same outputs here, in both modes. Needs python3-torch; EVENKEEL_PYTHON names
// another interpreter.
#include <iostream>

#include <gtest/gtest.h>

#include "deploy/python.h"
#include "nn/tensors.h"
#include "train/runs.h"
#include <evenkeel/deploy/state_dict.h>
#include <evenkeel/io/npy.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::deploy {
namespace {

namespace fs = std::filesystem;
using evenkeel::testing::contains;
using evenkeel::testing::error_of;
using evenkeel::testing::max_difference;
using evenkeel::testing::random_tensor;
using testing::test_folder;

constexpr double kTolerance = 1e-5;

nn::Sequential make_network(const std::string& name) {
  nn::Sequential net;
  if (name == "mlp") {
    net.add(nn::Linear(12, 16, {.bias = false})).add(nn::BatchNorm1d(16)).add(nn::ReLU());
    net.add(nn::Linear(16, 8, {.bias = false})).add(nn::BatchNorm1d(8)).add(nn::ReLU());
    net.add(nn::Linear(8, 4));
  } else {
    net.add(nn::Conv2d(2, 6, 3, {.padding = 1, .bias = false})).add(nn::BatchNorm2d(6));
    net.add(nn::ReLU()).add(nn::MaxPool2d(2));
    net.add(nn::Conv2d(6, 5, 3, {.padding = 1, .bias = false})).add(nn::BatchNorm2d(5));
    net.add(nn::ReLU()).add(nn::Flatten()).add(nn::Linear(5 * 4 * 4, 4));
  }
  net.initialize(7);
  return net;
}

Tensor input_of(const std::string& name, std::uint64_t seed) {
  if (name == "resnet20") return random_tensor({8, 3, 32, 32}, seed);
  return random_tensor(name == "mlp" ? Shape{16, 12} : Shape{16, 2, 8, 8}, seed);
}

void train(nn::Module& net, const std::string& name) {
  const auto optimizer = optim::make_optimizer("sgd", optim::make_groups(net, {}), {});
  std::vector<std::int32_t> labels;
  for (std::int32_t i = 0; i < 16; ++i) labels.push_back(i % 4);
  net.train();
  for (std::uint64_t step = 0; step < 20; ++step) {
    net.zero_grad();
    const nn::LossResult loss = nn::CrossEntropy{}(net.forward(input_of(name, step)), labels);
    net.backward(loss.gradient);
    optimizer->step(0.1);
  }
}

class StateDictTorchPeers : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!testing::has_modules(testing::python(), "torch, numpy")) {
      GTEST_SKIP() << "no python3-torch for " << testing::python();
    }
    io::write_npy(file(".x.npy"), x_);
  }

  fs::path file(const std::string& ending) const { return test_folder() / (GetParam() + ending); }
  bool script(const std::string& action) const {
    return testing::succeeds(testing::python() + " " EVENKEEL_DEPLOY_TESTS "/state_dict.py " +
                             action + " " + test_folder().string() + " " + GetParam());
  }
  /// In both modes, what PyTorch wrote.
  void expect_same_outputs(nn::Module& net, const std::string& what) {
    net.eval();
    const double eval = max_difference(net.forward(x_), io::read_npy(file(".eval.npy")));
    net.train();
    const double train = max_difference(net.forward(x_), io::read_npy(file(".train.npy")));
    net.clear_saved();
    std::cout << GetParam() << ", " << what << ": outputs differ by " << eval << " in eval mode, "
              << train << " in train mode\n";
    EXPECT_LE(eval, kTolerance);
    EXPECT_LE(train, kTolerance);
  }

  const Tensor x_ = input_of(GetParam(), 99);
};

INSTANTIATE_TEST_SUITE_P(Networks, StateDictTorchPeers, ::testing::Values("mlp", "convnet"));

TEST_P(StateDictTorchPeers, TrainedHereGivesTheSameThere) {
  nn::Sequential net = make_network(GetParam());
  train(net, GetParam());
  save_state_dict(file(".safetensors"), net);
  ASSERT_TRUE(script("load"));
  expect_same_outputs(net, "trained here");
}

TEST_P(StateDictTorchPeers, SavedThereGivesTheSameHere) {
  ASSERT_TRUE(script("save"));
  for (const std::string ending : {".pt", ".parallel.pt", ".whole.pt", ".last.pt"}) {
    nn::Sequential net = make_network(GetParam());
    const LoadReport report = load_by_name(net, read_state_dict(file(ending)).tensors);
    EXPECT_TRUE(report.fits());
    expect_same_outputs(net, ending);
  }
  EXPECT_TRUE(contains(error_of<IoError>([&] { read_state_dict(file(".model.pt")); }),
                       "nothing of a file is ever executed"));
  EXPECT_TRUE(contains(error_of<IoError>([&] { read_state_dict(file(".old.pt")); }),
                       "save it again with torch.save"));
}

/// A network whose layers have the names of torchvision.
using StateDictInOrderPeers = StateDictTorchPeers;
INSTANTIATE_TEST_SUITE_P(Networks, StateDictInOrderPeers, ::testing::Values("resnet20"));

TEST_P(StateDictInOrderPeers, OtherNamesMatchInOrder) {
  ASSERT_TRUE(script("save"));
  model::NetworkOptions options;
  options.net = GetParam();
  options.input = {3, 32, 32};
  const auto net = model::build_network(options, 1);
  const nn::StateDict state = read_state_dict(file(".pt")).tensors;
  EXPECT_FALSE(match_by_name(*net, state).fits());
  EXPECT_TRUE(load_by_name(*net, named_in_order(*net, state)).fits());
  expect_same_outputs(*net, "matched in order");
}

}  // namespace
}  // namespace evenkeel::deploy
