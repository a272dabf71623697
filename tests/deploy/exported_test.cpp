// What we write, in the eyes of others: onnx.checker accepts it, and ONNX Runtime computes the
// same.
#include <cmath>
#include <iostream>

#include <gtest/gtest.h>

#include "deploy/python.h"
#include "nn/tensors.h"
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/io/npy.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::deploy {
namespace {

using evenkeel::testing::random_tensor;
using testing::has_modules;
using testing::ort_python;
using testing::python;
using testing::script;
using testing::test_folder;

/// Models and what they give, for one call of each tool.
class Written {
 public:
  void add(const nn::Module& network, const Shape& sample, const std::string& name, const Tensor& x,
           const Tensor& y) {
    export_onnx(network, sample, test_folder() / (name + ".again.onnx"));
    io::write_npy(test_folder() / (name + ".x.npy"), x);
    io::write_npy(test_folder() / (name + ".y.npy"), y);
    names_ += " " + name;
  }

  void expect_accepted() const {
    EXPECT_TRUE(script(python(), "check", names_));
    if (has_modules(ort_python(), "onnxruntime")) {
      EXPECT_TRUE(script(ort_python(), "run", names_));
    } else {
      std::cout << "no onnxruntime for " << ort_python() << ": not compared with it\n";
    }
  }

 private:
  std::string names_;
};

class ExportedPeers : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_modules(python(), "onnx")) GTEST_SKIP() << "no python3-onnx for " << python();
  }
};

TEST_F(ExportedPeers, every_layer_is_accepted_and_equal_in_onnx_runtime) {
  Written written;
  for (const nn::LayerRow& row : nn::layer_table()) {
    if (row.name == "LSTM" || row.name == "GRU") continue;
    for (std::size_t i = 0; i < row.samples.size(); ++i) {
      nn::Sequential network;
      network.add(nn::make_layer(row.name, row.samples[i].options));
      network.initialize(3);
      network.eval();
      const Shape& input = row.samples[i].input;
      const Tensor x = random_tensor(input, 5);
      written.add(network, input.drop(1), row.name + std::to_string(i), x, network.forward(x));
    }
  }
  written.expect_accepted();
}

TEST_F(ExportedPeers, every_network_is_accepted_and_equal_in_onnx_runtime) {
  Written written;
  std::string training;
  for (const model::NetworkInfo& info : model::networks()) {
    model::NetworkOptions options;
    options.net = info.name;
    options.input = {3, 32, 32};
    const auto network = model::build_network(options, 1);
    const Tensor x = random_tensor({4, 3, 32, 32}, 5);
    network->train();
    network->forward(x);  // running statistics
    network->clear_saved();
    network->eval();
    const Tensor y = network->forward(x);
    written.add(*network, options.input, info.name, x, y);
    training += " " + info.name + "-training";
    export_onnx(*network, options.input, test_folder() / (info.name + "-training.again.onnx"),
                {.training = true});
    const auto folded = network->clone();
    nn::fold(*folded);
    written.add(*folded, options.input, info.name + "-folded", x, y);
  }
  written.expect_accepted();
  EXPECT_TRUE(script(python(), "check", training));
}

}  // namespace
}  // namespace evenkeel::deploy
