// What the ONNX reader refuses, and how it says so: one line that names the file and the culprit.
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "deploy/onnx_bytes.h"
#include <evenkeel/core/error.h>
#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/lstm.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::deploy {
namespace {

namespace fs = std::filesystem;
using testing::attribute;
using testing::Message;
using testing::ModelParts;
using testing::node_message;
using testing::tensor_message;
using testing::test_folder;
using testing::value_message;
using testing::with;
using testing::write_file;

/// y = relu(x) for x [N, 3].
ModelParts relu() {
  ModelParts parts;
  parts.nodes = {node_message("Relu", {"x"}, {"y"}, {}, "act")};
  parts.inputs = {value_message("x", {-1, 3})};
  parts.outputs = {value_message("y", {-1, 3})};
  return parts;
}

std::string refusal(const std::string& bytes, const ImportOptions& options = {}) {
  const fs::path path = write_file("refused.onnx", bytes);
  try {
    import_onnx(path, options);
    return "it is read";
  } catch (const IoError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("refused.onnx"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
}

void expect_refusal(const std::string& bytes, const std::vector<std::string>& words) {
  const std::string message = refusal(bytes);
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << "'" << word << "' is not in: " << message;
  }
}

TEST(OnnxRefusal, the_model_that_the_others_are_made_of_is_read) {
  EXPECT_EQ(refusal(relu().bytes()), "it is read");
}

TEST(OnnxRefusal, operators_and_domains_that_are_not_known) {
  ModelParts parts = relu();
  parts.nodes = {node_message("Frobnicate", {"x"}, {"y"}, {}, "odd")};
  expect_refusal(parts.bytes(), {"'Frobnicate'", "'odd'", "docs/onnx.md"});
  Message custom = node_message("Relu", {"x"}, {"y"}, {}, "act");
  custom.add_bytes(7, "com.example");
  parts.nodes = {custom};
  expect_refusal(parts.bytes(), {"'com.example'", "'act'"});
}

TEST(OnnxRefusal, operator_sets_beyond_those_supported) {
  for (const std::int64_t opset : {0, 6, 22, 1000000}) {
    ModelParts parts = relu();
    parts.opset = opset;
    expect_refusal(parts.bytes(), {"operator set", "7 to 21"});
  }
  for (const std::int64_t opset : {7, 13, 21}) {
    ModelParts parts = relu();
    parts.opset = opset;
    EXPECT_EQ(refusal(parts.bytes()), "it is read");
  }
}

TEST(OnnxRefusal, values_that_nothing_defines_or_that_are_defined_twice) {
  ModelParts parts = relu();
  parts.nodes = {node_message("Relu", {"ghost"}, {"y"}, {}, "act")};
  expect_refusal(parts.bytes(), {"'ghost'", "'act'"});
  parts.nodes = {node_message("Relu", {"x"}, {"y"}), node_message("Tanh", {"x"}, {"y"})};
  expect_refusal(parts.bytes(), {"'y'", "twice"});
  parts = relu();
  parts.outputs = {value_message("nothing", {-1, 3})};
  expect_refusal(parts.bytes(), {"'nothing'"});
}

TEST(OnnxRefusal, cycles) {
  ModelParts parts = relu();
  parts.nodes = {node_message("Add", {"x", "b"}, {"a"}), node_message("Relu", {"a"}, {"b"}),
                 node_message("Relu", {"b"}, {"y"})};
  expect_refusal(parts.bytes(), {"depends on its own output"});
}

TEST(OnnxRefusal, nodes_in_any_order_are_sorted) {
  ModelParts parts = relu();
  parts.nodes = {node_message("Tanh", {"b"}, {"y"}), node_message("Relu", {"x"}, {"a"}),
                 node_message("Sigmoid", {"a"}, {"b"})};
  const ImportedModel model = import_onnx(write_file("unsorted.onnx", parts.bytes()));
  const Tensor y = model.network->forward(Tensor::full({1, 3}, 0));
  EXPECT_NEAR(y.data<float>()[0], std::tanh(0.5), 1e-6);
}

TEST(OnnxRefusal, interfaces_that_are_no_networks) {
  ModelParts parts = relu();
  parts.inputs.push_back(value_message("z", {-1, 3}));
  expect_refusal(parts.bytes(), {"2 inputs", "'z'"});
  parts = relu();
  parts.inputs = {value_message("x", {-1, 3}, 7)};
  expect_refusal(parts.bytes(), {"'x'", "int64"});
  parts.inputs = {value_message("x", {-1, -1})};
  expect_refusal(parts.bytes(), {"'x'", "dimension 1 open"});
  EXPECT_EQ(refusal(parts.bytes(), {.input_shape = Shape{2, 5}}), "it is read");
  parts.inputs = {value_message("x", {})};
  expect_refusal(parts.bytes(), {"scalar"});
  parts = relu();
  parts.outputs.clear();
  expect_refusal(parts.bytes(), {"no output"});
}

/// y = x + w, where w is whatever the test makes of it.
std::string with_initializer(const Message& tensor) {
  ModelParts parts = relu();
  parts.nodes = {node_message("Add", {"x", "w"}, {"y"}, {}, "sum")};
  std::string bytes = parts.bytes();
  return bytes + with(7, with(5, tensor)).bytes();
}

Message tensor_of_dims(const std::vector<std::int64_t>& dims, std::int64_t type,
                       const std::string& raw) {
  Message message;
  for (const std::int64_t dim : dims) message.add_int(1, dim);
  message.add_int(2, type);
  message.add_bytes(8, "w");
  message.add_bytes(9, raw);
  return message;
}

TEST(OnnxRefusal, tensors_whose_sizes_lie) {
  EXPECT_EQ(refusal(with_initializer(tensor_of_dims({3}, 1, std::string(12, '\0')))), "it is read");
  for (const std::size_t bytes : {0u, 11u, 13u, 24u}) {
    expect_refusal(with_initializer(tensor_of_dims({3}, 1, std::string(bytes, '\0'))),
                   {"'w'", "bytes"});
  }
  const std::int64_t large = std::int64_t{1} << 32;
  expect_refusal(with_initializer(tensor_of_dims({large, large}, 1, "")), {"'w'"});
  expect_refusal(with_initializer(tensor_of_dims({-3}, 1, "")), {"'w'", "negative"});
  expect_refusal(with_initializer(tensor_of_dims(std::vector<std::int64_t>(9, 1), 1, "abcd")),
                 {"'w'"});
  expect_refusal(with_initializer(tensor_of_dims({3}, 8, "abc")), {"'w'", "string"});
  expect_refusal(with_initializer(tensor_of_dims({3}, 77, "abc")), {"'w'", "77"});
}

TEST(OnnxRefusal, sixteen_bit_and_double_weights_are_widened) {
  const std::string halves("\x00\x3c\x00\xc0\x01\x00", 6);  // 1, -2, 2^-24
  const std::string brains("\x80\x3f\x00\xc0\x00\x00", 6);  // 1, -2, 0
  for (const auto& [type, raw] : {std::pair{10, halves}, std::pair{16, brains}}) {
    const auto path = write_file("half.onnx", with_initializer(tensor_of_dims({3}, type, raw)));
    const Tensor y = import_onnx(path).network->forward(Tensor::full({1, 3}, 0));
    EXPECT_EQ(y.data<float>()[0], 1);
    EXPECT_EQ(y.data<float>()[1], -2);
    EXPECT_EQ(y.data<float>()[2], type == 10 ? 0x1p-24F : 0.0F);
  }
}

Message external(const std::string& location, const std::string& offset = "",
                 const std::string& length = "") {
  Message message;
  message.add_int(1, 3);
  message.add_int(2, 1);
  message.add_bytes(8, "w");
  const auto entry = [&](std::string_view key, const std::string& value) {
    if (value.empty()) return;
    Message pair = with(1, key);
    pair.add_bytes(2, value);
    message.add_message(13, pair);
  };
  entry("location", location);
  entry("offset", offset);
  entry("length", length);
  message.add_int(14, 1);
  return message;
}

TEST(OnnxExternalData, is_read_in_the_models_folder_and_below) {
  const Tensor values = Tensor::from({0.0F, 1.0F, 2.0F, 3.0F}, {4});
  const std::string_view bytes(static_cast<const char*>(values.raw()), values.bytes());
  fs::create_directories(test_folder() / "below");
  write_file("weights.bin", bytes);
  write_file("below/weights.bin", bytes);
  for (const char* location : {"weights.bin", "below/weights.bin", "below/../weights.bin"}) {
    const auto path = write_file("external.onnx", with_initializer(external(location, "4", "12")));
    const Tensor y = import_onnx(path).network->forward(Tensor::full({1, 3}, 0));
    EXPECT_EQ(y.data<float>()[2], 3) << location;
  }
  expect_refusal(with_initializer(external("weights.bin", "8", "12")), {"'w'", "offset 8"});
  expect_refusal(with_initializer(external("weights.bin", "0", "16")), {"'w'", "16"});
  expect_refusal(with_initializer(external("weights.bin", "18446744073709551615")), {"'w'"});
  expect_refusal(with_initializer(external("weights.bin", "-4")), {"'w'", "offset"});
  expect_refusal(with_initializer(external("nothing.bin")), {"'w'", "nothing.bin"});
  expect_refusal(with_initializer(external("below")), {"'w'"});
  expect_refusal(with_initializer(external("")), {"'w'", "location"});
}

TEST(OnnxExternalData, is_never_read_outside_the_models_folder) {
  const fs::path outside = test_folder().parent_path() / (test_folder().filename().string() + ".b");
  std::ofstream(outside) << std::string(12, 'a');
  fs::create_symlink(outside, test_folder() / "link.bin");
  fs::create_directory_symlink("/", test_folder() / "root");
  const std::string up = "../" + outside.filename().string();
  for (const std::string& location :
       {up, outside.string(), std::string("link.bin"), "root" + outside.string(),
        std::string("/dev/zero"), std::string("/etc/passwd")}) {
    expect_refusal(with_initializer(external(location)), {"'w'", "outside the model's folder"});
  }
  fs::remove(outside);
  fs::remove(test_folder() / "root");
}

TEST(OnnxRefusal, every_truncation_and_many_flips_are_refused_or_read) {
  nn::Sequential network{nn::Conv2d(1, 2, 3), nn::BatchNorm2d(2), nn::ReLU()};
  const fs::path whole = test_folder() / "whole.onnx";
  export_onnx(network, {1, 4, 4}, whole);
  const std::string bytes = testing::file_bytes(whole);
  const auto reads = [](const std::string& content) {
    const fs::path path = write_file("damaged.onnx", content);
    try {
      import_onnx(path);
      return true;
    } catch (const IoError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return false;
    }
  };
  EXPECT_TRUE(reads(bytes));
  int read = 0;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    read += reads(bytes.substr(0, length)) ? 1 : 0;
  }
  // Cut between the fields behind the graph: the operator set comes last.
  EXPECT_LE(read, 2);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); bit += 3) {
    std::string flipped = bytes;
    flipped[bit / 8] =
        static_cast<char>(static_cast<unsigned char>(flipped[bit / 8]) ^ (1U << (bit % 8)));
    reads(flipped);
  }
}

TEST(OnnxRefusal, layers_without_operators_are_named) {
  nn::Sequential network{nn::LSTM(3, 4)};
  try {
    export_onnx(network, {3, 5}, test_folder() / "lstm.onnx");
    ADD_FAILURE() << "it is written";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("LSTM 0"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(test_folder() / "lstm.onnx"));
}

}  // namespace
}  // namespace evenkeel::deploy
