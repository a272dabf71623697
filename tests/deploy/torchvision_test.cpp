// Networks of torchvision, exported by PyTorch with their batch norms: read, equal to PyTorch,
// written again, accepted by onnx.checker and equal in ONNX Runtime. Needs python3-torch,
// python3-torchvision and python3-onnx; EVENKEEL_PYTHON names another interpreter,
// EVENKEEL_ORT_PYTHON one with onnxruntime.
#include <cmath>
#include <iostream>

#include <gtest/gtest.h>

#include "deploy/onnx_bytes.h"
#include "deploy/python.h"
#include "nn/tensors.h"
#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/io/npy.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/loss.h>

namespace evenkeel::deploy {
namespace {

namespace fs = std::filesystem;
using testing::has_modules;
using testing::ort_python;
using testing::python;
using testing::script;

constexpr double kTolerance = 1e-4;  // of the largest output

class TorchvisionLong : public ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Models, TorchvisionLong,
                         ::testing::Values("resnet18", "resnet50", "densenet121", "mobilenet_v2",
                                           "inception_v3", "googlenet", "vgg16_bn"));

TEST_P(TorchvisionLong, is_read_and_written_and_stays_equal_to_pytorch) {
  if (!has_modules(python(), "torch, torchvision, onnx")) {
    GTEST_SKIP() << "no python3-torch, python3-torchvision and python3-onnx for " << python();
  }
  const std::string& name = GetParam();
  ASSERT_TRUE(script(python(), "export", name));
  const fs::path folder = testing::test_folder();
  const ImportedModel model = import_onnx(folder / (name + ".onnx"));
  EXPECT_FALSE(model.batch.has_value());
  int norms = 0;
  model.network->visit([&](const std::string&, nn::Module& module) {
    norms += dynamic_cast<nn::BatchNorm*>(&module) != nullptr ? 1 : 0;
  });
  EXPECT_GT(norms, 10);

  const Tensor x = io::read_npy(folder / (name + ".x.npy"));
  const Tensor wanted = io::read_npy(folder / (name + ".y.npy"));
  double largest = 0;
  for (const float value : wanted.span<float>()) {
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const double difference =
        evenkeel::testing::max_difference(model.network->forward(x.to(layout)), wanted) / largest;
    std::cout << name << ", " << norms << " batch norms, " << name_of(layout) << ": differs by "
              << difference << " of the largest output\n";
    EXPECT_LE(difference, kTolerance);
  }

  export_onnx(*model.network, model.sample, folder / (name + ".again.onnx"));
  EXPECT_TRUE(script(python(), "check", name));
  if (has_modules(ort_python(), "onnxruntime")) {
    EXPECT_TRUE(script(ort_python(), "run", name));
  } else {
    std::cout << "no onnxruntime for " << ort_python() << ": not compared with it\n";
  }

  // And it trains: the loss of one batch falls.
  model.network->train();
  model.network->visit([](const std::string&, nn::Module& module) {
    if (module.type() == "Dropout") module.eval();
  });
  const nn::CrossEntropy loss;
  const std::vector<std::int32_t> labels{1, 2};
  double first = 0, last = 0;
  for (int step = 0; step < 3; ++step) {
    model.network->zero_grad();
    const auto result = loss(model.network->forward(x.to(Layout::channels_last)), labels);
    (step == 0 ? first : last) = result.value;
    model.network->backward(result.gradient);
    for (const auto& [path, parameter] : model.network->parameters()) {
      for (std::int64_t i = 0; i < parameter->value.numel(); ++i) {
        parameter->value.data<float>()[i] -= 0.001F * parameter->grad.data<float>()[i];
      }
    }
  }
  EXPECT_LT(last, first);
  for (const char* ending : {".onnx", ".again.onnx", ".x.npy", ".y.npy"}) {
    fs::remove(folder / (name + ending));
  }
}

}  // namespace
}  // namespace evenkeel::deploy
