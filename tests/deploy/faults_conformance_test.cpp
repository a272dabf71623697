// The ONNX reader on files that are right and wrong; see io/fault_files.h.
#include "io/fault_files.h"
#include <evenkeel/deploy/onnx.h>

namespace evenkeel::deploy {
namespace {

TEST(OnnxFaults, conformance_models_are_read_or_refused_as_labelled) {
  if (!io::testing::folder_from("EVENKEEL_FAULTS")) {
    GTEST_SKIP() << "EVENKEEL_FAULTS does not name the folder of the fault files";
  }
  const int checked = io::testing::check_kind("onnx", "onnx/ok_nan_weight.onnx",
                                              [](const auto& path) { import_onnx(path); });
  RecordProperty("files", checked);
  EXPECT_GT(checked, 0);
}

TEST(OnnxFaults, a_NaN_weight_spoils_its_own_channel_alone) {
  const auto folder = io::testing::folder_from("EVENKEEL_FAULTS");
  if (!folder) GTEST_SKIP() << "EVENKEEL_FAULTS does not name the folder of the fault files";
  const ImportedModel model = import_onnx(*folder / "onnx/ok_nan_weight.onnx");
  std::vector<std::int64_t> dims{2};
  for (const std::int64_t extent : model.sample.dims()) dims.push_back(extent);
  const Tensor x = Tensor::full(Shape(std::span<const std::int64_t>(dims)), 0.5);
  const Tensor y = model.network->forward(x);
  int spoiled = 0;
  for (const float value : y.span<float>()) spoiled += std::isnan(value) ? 1 : 0;
  EXPECT_EQ(spoiled, y.numel() / y.dim(1)) << "of " << y.shape().str();
}

TEST(OnnxFaults, a_chain_of_20000_nodes_runs_forward_and_backward) {
  const auto folder = io::testing::folder_from("EVENKEEL_FAULTS");
  if (!folder) GTEST_SKIP() << "EVENKEEL_FAULTS does not name the folder of the fault files";
  const ImportedModel model = import_onnx(*folder / "onnx/ok_chain_20000.onnx");
  std::vector<std::int64_t> dims{2};
  for (const std::int64_t extent : model.sample.dims()) dims.push_back(extent);
  const Tensor x = Tensor::full(Shape(std::span<const std::int64_t>(dims)), 0.5);
  model.network->train();
  const Tensor y = model.network->forward(x);
  EXPECT_EQ(model.network->backward(y).shape(), x.shape());
}

}  // namespace
}  // namespace evenkeel::deploy
