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
#include <evenkeel/deploy/difference.h>
#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/io/npy.h>
#include <evenkeel/nn/fold.h>
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

struct Model {
  std::string name;
  std::size_t norms;  ///< batch norms of the network in eval mode
  std::size_t stay;   ///< that stand behind a concatenation or are read elsewhere
};
void PrintTo(const Model& model, std::ostream* out) { *out << model.name; }

class TorchvisionPeers : public ::testing::TestWithParam<Model> {};

INSTANTIATE_TEST_SUITE_P(Models, TorchvisionPeers,
                         ::testing::Values(Model{"resnet18", 20, 0}, Model{"resnet50", 53, 0},
                                           Model{"densenet121", 121, 62},
                                           Model{"mobilenet_v2", 52, 0},
                                           Model{"inception_v3", 94, 0}, Model{"googlenet", 57, 0},
                                           Model{"vgg16_bn", 13, 0}),
                         [](const auto& each) { return each.param.name; });

std::size_t batch_norms_of(nn::Module& network) {
  std::size_t count = 0;
  network.visit([&](const std::string&, nn::Module& module) {
    count += dynamic_cast<nn::BatchNorm*>(&module) != nullptr ? 1U : 0U;
  });
  return count;
}

/// Writes the network beside the one that was read, and has others look at it.
void expect_exported(const std::string& name, const nn::Module& network, const Shape& sample) {
  export_onnx(network, sample, testing::test_folder() / (name + ".again.onnx"));
  EXPECT_TRUE(script(python(), "check", name));
  if (has_modules(ort_python(), "onnxruntime")) {
    EXPECT_TRUE(script(ort_python(), "run", name));
  } else {
    std::cout << "no onnxruntime for " << ort_python() << ": not compared with it\n";
  }
}

/// Folds a copy: none stays that could go, and the outputs are the same; in double nearly to the
/// last digit.
void expect_folded(const Model& expected, const ImportedModel& model, const Tensor& x) {
  const std::unique_ptr<nn::Module> folded = model.network->clone();
  const nn::FoldReport report = nn::fold_norms(*folded);
  EXPECT_EQ(report.kept.size(), expected.stay);
  EXPECT_EQ(batch_norms_of(*folded), expected.stay);
  OutputDifference difference(*model.network);
  difference.add(*folded, x);
  std::cout << expected.name << ", " << report.folded.size() << " folded: differs by "
            << difference.largest() << "\n";
  EXPECT_LE(difference.largest(), kTolerance);
  const std::unique_ptr<nn::Module> exact = model.network->clone();
  exact->to(DType::f64);
  nn::fold_norms(*exact);
  OutputDifference in_double(*model.network);
  in_double.add(*exact, x.slice(0, 1));
  EXPECT_LE(in_double.largest(), 1e-11);
  expect_exported(expected.name, *folded, model.sample);
}

TEST_P(TorchvisionPeers, is_read_and_written_and_stays_equal_to_pytorch) {
  if (!has_modules(python(), "torch, torchvision, onnx")) {
    GTEST_SKIP() << "no python3-torch, python3-torchvision and python3-onnx for " << python();
  }
  const std::string& name = GetParam().name;
  ASSERT_TRUE(script(python(), "export", name));
  const fs::path folder = testing::test_folder();
  const ImportedModel model = import_onnx(folder / (name + ".onnx"));
  EXPECT_FALSE(model.batch.has_value());
  const std::size_t norms = batch_norms_of(*model.network);
  EXPECT_EQ(norms, GetParam().norms);

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

  expect_exported(name, *model.network, model.sample);
  expect_folded(GetParam(), model, x);

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
