// The ONNX operators' own tests, as Debian packages them (libonnx-testdata): every folder whose
// operators are all supported passes, or is listed below with the reason why it is refused.
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "deploy/onnx/importer.h"
#include "deploy/onnx_bytes.h"
#include <evenkeel/deploy/onnx.h>

namespace evenkeel::deploy {
namespace {

namespace fs = std::filesystem;
using testing::file_bytes;
using testing::Message;
using testing::read_tensor;
using testing::with;
using testing::write_file;

fs::path data_folder() {
  const char* const given = std::getenv("EVENKEEL_ONNX_DATA");
  return given != nullptr ? given : "/usr/share/libonnx-testdata/data/node";
}

/// Folders of supported operators that are refused, and words of the refusal.
const std::map<std::string, std::string>& refused() {
  static const std::map<std::string, std::string> table = {
      // Values that are no numbers, or that no network here computes with.
      {"test_cast_FLOAT_to_STRING", "a cast to string"},
      {"test_cast_STRING_to_FLOAT", "elements of type string"},
      {"test_castlike_FLOAT_to_STRING_expanded", "elements of type string"},
      {"test_castlike_STRING_to_FLOAT_expanded", "elements of type string"},
      {"test_identity_opt", "expected"},
      {"test_identity_sequence", "expected"},
      {"test_clip_default_int8_inbounds", "'Clip' is not computed"},
      {"test_clip_default_int8_max", "'Clip' is not computed"},
      {"test_clip_default_int8_min", "'Clip' is not computed"},
      {"test_edge_pad", "'Pad' is not computed"},     // of int32; tests/nn has the layer
      {"test_reflect_pad", "'Pad' is not computed"},  // of int32
      {"test_maxpool_2d_uint8", "'MaxPool' is not computed"},
      // Others.
      {"test_matmul_3d", "expected a matrix"},
      {"test_matmul_4d", "expected a matrix"},
      {"test_maxpool_2d_dilations", "dilations are not supported"},
      {"test_maxpool_with_argmax_2d_precomputed_strides", "the positions of maxima"},
      {"test_reshape_allowzero_reordered", "do not fit"},      // an empty sample
      {"test_split_zero_size_splits", "it splits the batch"},  // the same
      {"test_mvn_expanded", "'ReduceMean' is not computed"},   // deviations of a constant
      {"test_pow", "no single number"},
      {"test_pow_bcast_array", "no single number"},
      {"test_pow_example", "no single number"},
      {"test_pow_types_float32_int32", "no single number"},
      {"test_pow_types_float32_int64", "no single number"},
      {"test_pow_types_float32_uint32", "no single number"},
      {"test_pow_types_float32_uint64", "no single number"},
      {"test_pow_types_float", "'Pow' is not computed"},
      {"test_pow_types_int", "no single number"},
      {"test_pow_types_int32_float32", "'Pow' is not computed"},
      {"test_pow_types_int32_int32", "'Pow' is not computed"},
      {"test_pow_types_int64_float32", "'Pow' is not computed"},
      {"test_pow_types_int64_int64", "'Pow' is not computed"},
      {"test_range_float_type_positive_delta", "holds no integers"},
      {"test_reduce_prod_default_axes_keepdims_example", "holds no integers"},
      {"test_reduce_prod_default_axes_keepdims_random", "holds no integers"},
      {"test_reduce_prod_do_not_keepdims_example", "holds no integers"},
      {"test_reduce_prod_do_not_keepdims_random", "holds no integers"},
      {"test_reduce_prod_keepdims_example", "holds no integers"},
      {"test_reduce_prod_keepdims_random", "holds no integers"},
      {"test_reduce_prod_negative_axes_keepdims_example", "holds no integers"},
      {"test_reduce_prod_negative_axes_keepdims_random", "holds no integers"},
  };
  return table;
}

/// Folders whose outputs are drawn at random: they are read and run, and not compared.
const std::set<std::string>& random() {
  static const std::set<std::string> names = {
      "test_training_dropout", "test_training_dropout_default",
      "test_training_dropout_default_mask", "test_training_dropout_mask"};
  return names;
}

/// Operators that networks hardly have, but the arithmetic with their shapes: tested on constants.
const std::set<std::string>& of_shapes() {
  static const std::set<std::string> names = {"Cast", "Expand", "Gather", "Shape"};
  return names;
}

/// Folders whose bf16 values are stored as integers, another type than their models declare.
const std::set<std::string>& mislabelled() {
  static const std::set<std::string> names = {
      "test_cast_BFLOAT16_to_FLOAT", "test_cast_FLOAT_to_BFLOAT16",
      "test_castlike_BFLOAT16_to_FLOAT_expanded", "test_castlike_FLOAT_to_BFLOAT16_expanded"};
  return names;
}

/// Whether the reader knows all operators of the folder's model; models of other kinds of values
/// are none of its.
bool is_candidate(const fs::path& folder) {
  if (mislabelled().contains(folder.filename().string())) return false;
  try {
    const OnnxModel model = read_onnx(folder / "model.onnx");
    return std::ranges::all_of(
        model.nodes, [](const OnnxNode& node) { return find_operator(node.type) != nullptr; });
  } catch (const IoError&) {
    return false;
  }
}

std::vector<std::string> candidates() {
  std::error_code ignored;
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(data_folder(), ignored)) {
    if (is_candidate(entry.path())) names.insert(entry.path().filename().string());
  }
  return {names.begin(), names.end()};
}

fs::path tensor_file(const fs::path& folder, const char* kind, std::size_t i) {
  return folder / "test_data_set_0" / (kind + std::to_string(i) + ".pb");
}

/// The model with inputs from `first` on turned into initializers: appended messages are merged.
std::string with_constants(const fs::path& folder, const OnnxModel& model, std::size_t first) {
  std::string bytes = file_bytes(folder / "model.onnx");
  for (std::size_t i = first; i < model.inputs.size(); ++i) {
    const std::string tensor = file_bytes(tensor_file(folder, "input_", i)) +
                               with(8, std::string_view(model.inputs[i].name)).bytes();
    bytes += with(7, with(5, std::string_view(tensor))).bytes();
  }
  return bytes;
}

void expect_near(const Tensor& got, const Tensor& wanted, const std::string& what) {
  ASSERT_EQ(got.shape(), wanted.shape()) << what;
  const Tensor a = got.to(Layout::channels_first).to(DType::f64), b = wanted.to(DType::f64);
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double value = std::as_const(b).data<double>()[i];
    // The expected values were computed in f32.
    ASSERT_NEAR(std::as_const(a).data<double>()[i], value, 1e-6 + 1e-5 * std::abs(value))
        << what << ", element " << i;
  }
}

/// Whether input 0 can be a network's: the others are its constants then.
bool is_network(const OnnxModel& model) {
  if (model.inputs.empty()) return false;
  const auto dtype = held_as(model.inputs[0].type);
  return (dtype == DType::f32 || dtype == DType::f64) &&
         std::ranges::all_of(model.nodes, [](const OnnxNode& node) {
           return find_operator(node.type)->build != nullptr && !of_shapes().contains(node.type);
         });
}

class OnnxNodes : public ::testing::TestWithParam<std::string> {};

TEST_P(OnnxNodes, conformance_passes_or_is_refused_by_name) {
  const fs::path folder = data_folder() / GetParam();
  const OnnxModel model = read_onnx(folder / "model.onnx");
  const bool network = is_network(model);
  const fs::path file =
      write_file(GetParam() + ".onnx", with_constants(folder, model, network ? 1 : 0));
  const auto compute = [&] {
    OnnxModel constant = read_onnx(file);
    Importer importer(io::Origin("onnx", file), constant);
    return importer.compute(constant.outputs[0].name);
  };
  const auto exception = refused().find(GetParam());
  if (exception != refused().end()) {
    try {
      network ? (void)import_onnx(file) : (void)compute();
      ADD_FAILURE() << "it is read";
    } catch (const IoError& error) {
      EXPECT_NE(std::string(error.what()).find(exception->second), std::string::npos)
          << error.what();
    }
    return;
  }
  if (!network) {
    expect_near(compute(), read_tensor(tensor_file(folder, "output_", 0)), "the constant");
    return;
  }
  const ImportedModel imported = import_onnx(file);
  const Tensor x = read_tensor(tensor_file(folder, "input_", 0));
  const auto& attributes = model.nodes.front().attributes;
  const auto mode = attributes.find("training_mode");
  if (mode != attributes.end() && mode->second.integer == 1) imported.network->train();
  const Tensor y = imported.network->forward(x);
  if (random().contains(GetParam())) return;
  expect_near(y, read_tensor(tensor_file(folder, "output_", 0)), "the output");
  if (mode == attributes.end() || mode->second.integer == 0) return;
  const nn::StateDict state = imported.network->state_dict();
  for (const auto& [name, tensor] : state) {
    if (name.ends_with("running_mean")) {
      expect_near(tensor, read_tensor(tensor_file(folder, "output_", 1)), name);
    }
    if (name.ends_with("running_var")) {
      expect_near(tensor, read_tensor(tensor_file(folder, "output_", 2)), name);
    }
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnnxNodes);
INSTANTIATE_TEST_SUITE_P(Folders, OnnxNodes, ::testing::ValuesIn(candidates()),
                         [](const auto& one) { return one.param; });

TEST(OnnxNodeTests, those_that_are_refused_exist) {
  if (!fs::exists(data_folder())) GTEST_SKIP() << "no ONNX test data; install libonnx-testdata";
  const std::vector<std::string> names = candidates();
  EXPECT_GT(names.size(), 150u);
  for (const auto& [name, word] : refused()) {
    EXPECT_NE(std::ranges::find(names, name), names.end()) << name;
  }
}

}  // namespace
}  // namespace evenkeel::deploy
