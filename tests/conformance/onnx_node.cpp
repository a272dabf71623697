// ONNX's own tests of its normalization operators, as Debian packages them (libonnx-testdata): one
// test per folder, registered when the program starts.
#include <cmath>
#include <cstdlib>
#include <iostream>

#include <gtest/gtest.h>

#include "cases.h"
#include "onnx_file.h"
#include <evenkeel/norm/batch_norm.h>
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::conformance {
namespace {

namespace fs = std::filesystem;

fs::path data_folder() {
  const char* const given = std::getenv("EVENKEEL_ONNX_DATA");
  return given != nullptr ? given : "/usr/share/libonnx-testdata/data/node";
}

/// One folder: a model of one node, its inputs and its outputs.
struct NodeCase {
  fs::path folder;

  Tensor tensor(const std::string& kind, int i) const {
    const fs::path path = folder / "test_data_set_0" / fmt::format("{}_{}.pb", kind, i);
    return fs::exists(path) ? read_onnx_tensor(path) : Tensor();
  }
  Tensor input(int i) const { return tensor("input", i); }
  /// Compares, where the case expects output i.
  void expect(int i, std::span<const float> got) const {
    const Tensor wanted = tensor("output", i);
    if (!wanted.defined()) return;
    const auto values = wanted.span<float>();
    ASSERT_EQ(values.size(), got.size()) << "output " << i;
    for (std::size_t k = 0; k < got.size(); ++k) {
      // The expected values were computed in f32.
      const double bound = 1e-6 + 1e-5 * std::abs(static_cast<double>(values[k]));
      ASSERT_NEAR(got[k], values[k], bound) << "output " << i << ", element " << k;
    }
  }
  void expect(int i, std::span<const double> got) const {
    expect(i, std::vector<float>(got.begin(), got.end()));
  }
  void expect(int i, const std::vector<float>& got) const {
    expect(i, std::span<const float>(got));
  }
};

std::vector<double> doubles(const Tensor& tensor) {
  const auto values = tensor.span<float>();
  return {values.begin(), values.end()};
}

/// ONNX's momentum is the weight of the old value, its running variance the biased one.
void run_batch_normalization(const NodeCase& c, const OnnxNode& node) {
  const Tensor x = c.input(0), scale = c.input(1), bias = c.input(2);
  std::vector<double> mean = doubles(c.input(3)), var = doubles(c.input(4));
  const norm::Affine affine{norm::ConstVectorView(scale), norm::ConstVectorView(bias)};
  const double eps = node.get("epsilon", 1e-5);
  std::vector<std::byte> workspace(norm::workspace_size(norm::view(x)));
  Tensor y = Tensor::full(x.shape(), NAN);
  if (node.get("training_mode", 0) == 0) {
    norm::forward_infer(norm::view(x), affine, eps, mean, var, {}, norm::view(y), nullptr,
                        workspace);
    c.expect(0, std::as_const(y).span<float>());
    return;
  }
  std::vector<std::byte> memory(norm::state_size(norm::view(x), {}));
  norm::BatchNormState state = norm::bind_state(memory, norm::view(x), {});
  std::int64_t batches = 0;
  norm::RunningStats running;
  running.mean = mean;
  running.var = var;
  running.batches = &batches;
  running.momentum = 1 - node.get("momentum", 0.9);
  running.unbiased = false;
  norm::forward_train(norm::view(x), affine, eps, &running, {}, norm::view(y), state, workspace);
  c.expect(0, std::as_const(y).span<float>());
  c.expect(1, std::span<const double>(mean));
  c.expect(2, std::span<const double>(var));
}

void run_instance_normalization(const NodeCase& c, const OnnxNode& node) {
  const Tensor x = c.input(0), scale = c.input(1), bias = c.input(2);
  const norm::Affine affine{norm::ConstVectorView(scale), norm::ConstVectorView(bias)};
  Tensor y = Tensor::full(x.shape(), NAN);
  const norm::ConstRowView rows = norm::group_view(norm::view(x), x.shape()[1]);
  std::vector<std::byte> workspace(norm::row_workspace_size(rows));
  norm::forward_rows(rows, affine, {node.get("epsilon", 1e-5), norm::Centre::mean},
                     norm::group_view(norm::view(y), x.shape()[1]), nullptr, workspace);
  c.expect(0, std::as_const(y).span<float>());
}

/// The affine parameters of several axes are one value per element of a row.
Tensor flat(const Tensor& tensor) { return Tensor::from(tensor.span<float>(), {tensor.numel()}); }

void run_layer_normalization(const NodeCase& c, const OnnxNode& node) {
  const Tensor x = c.input(0), scale = flat(c.input(1)), bias = flat(c.input(2));
  const norm::Affine affine{norm::ConstVectorView(scale), norm::ConstVectorView(bias)};
  const int axis = static_cast<int>(node.get("axis", -1));
  const int axes = axis < 0 ? -axis : x.rank() - axis;
  Tensor y = Tensor::full(x.shape(), NAN);
  const norm::ConstRowView rows = norm::row_view(x, axes);
  std::vector<std::byte> workspace(norm::row_workspace_size(rows));
  std::vector<std::byte> memory(norm::row_state_size(rows));
  norm::RowNormState state = norm::bind_row_state(memory, rows);
  norm::forward_rows(rows, affine, {node.get("epsilon", 1e-5), norm::Centre::mean},
                     norm::row_view(y, axes), &state, workspace);
  c.expect(0, std::as_const(y).span<float>());
  c.expect(1, std::span<const double>(state.mean));
  c.expect(2, std::span<const double>(state.inv_std));
}

struct Operator {
  std::string_view type;
  void (*run)(const NodeCase& c, const OnnxNode& node);
};

constexpr Operator kOperators[] = {{"BatchNormalization", run_batch_normalization},
                                   {"InstanceNormalization", run_instance_normalization},
                                   {"LayerNormalization", run_layer_normalization}};

class OnnxNodeTest : public testing::Test {
 public:
  explicit OnnxNodeTest(NodeCase c) : case_(std::move(c)) {}
  void TestBody() override {
    const OnnxNode node = read_onnx_node(case_.folder / "model.onnx");
    for (const Operator& op : kOperators) {
      if (op.type == node.type) return op.run(case_, node);
    }
    FAIL() << "no operator " << node.type;
  }

 private:
  NodeCase case_;
};

class NoOnnxData : public testing::Test {
 public:
  void TestBody() override {
    GTEST_SKIP() << "no ONNX test data in " << data_folder() << "; install libonnx-testdata";
  }
};

bool wanted(const std::string& name) {
  // "_expanded" ones are graphs of simpler operators.
  if (name.find("_expanded") != std::string::npos) return false;
  return name.starts_with("test_batchnorm") || name.starts_with("test_instancenorm") ||
         name.starts_with("test_layer_normalization");
}

}  // namespace

void register_onnx_nodes() {
  std::error_code ignored;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(data_folder(), ignored)) {
    if (wanted(entry.path().filename().string())) folders.push_back(entry.path());
  }
  if (folders.empty()) {
    testing::RegisterTest("OnnxNode", "data", nullptr, nullptr, __FILE__, __LINE__,
                          []() -> NoOnnxData* { return new NoOnnxData; });
  }
  for (const fs::path& folder : folders) {
    const std::string name = folder.filename().string().substr(5);
    testing::RegisterTest("OnnxNode", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [folder]() -> OnnxNodeTest* { return new OnnxNodeTest({folder}); });
  }
}

}  // namespace evenkeel::conformance
