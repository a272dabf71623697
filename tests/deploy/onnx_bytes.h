// ONNX files for tests, made field by field, so that they can be wrong.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "deploy/onnx/model.h"
#include "io/protobuf.h"
#include <evenkeel/core/tensor.h>

namespace evenkeel::deploy::testing {

using Message = io::ProtobufMessage;

/// A message of one field.
template <class Value>
Message with(std::uint32_t field, const Value& value) {
  Message message;
  if constexpr (std::is_same_v<Value, Message>) {
    message.add_message(field, value);
  } else if constexpr (std::is_integral_v<Value>) {
    message.add_int(field, value);
  } else {
    message.add_bytes(field, value);
  }
  return message;
}

/// A TensorProto of f32, f64 or i64 values.
inline Message tensor_message(const std::string& name, const Tensor& tensor) {
  Message message;
  for (const std::int64_t dim : tensor.shape().dims()) message.add_int(1, dim);
  message.add_int(2, tensor.dtype() == DType::f64 ? 11 : tensor.dtype() == DType::i64 ? 7 : 1);
  message.add_bytes(8, name);
  message.add_bytes(9, {static_cast<const char*>(tensor.raw()), tensor.bytes()});
  return message;
}

inline Message attribute(const std::string& name, std::int64_t value) {
  Message message = with(1, std::string_view(name));
  message.add_int(3, value);
  message.add_int(20, 2);
  return message;
}
inline Message attribute(const std::string& name, double value) {
  Message message = with(1, std::string_view(name));
  message.add_float(2, static_cast<float>(value));
  message.add_int(20, 1);
  return message;
}
inline Message attribute(const std::string& name, std::string_view value) {
  Message message = with(1, std::string_view(name));
  message.add_bytes(4, value);
  message.add_int(20, 3);
  return message;
}
inline Message attribute(const std::string& name, const std::vector<std::int64_t>& values) {
  Message message = with(1, std::string_view(name));
  for (const std::int64_t value : values) message.add_int(8, value);
  message.add_int(20, 7);
  return message;
}

inline Message node_message(const std::string& type, const std::vector<std::string>& inputs,
                            const std::vector<std::string>& outputs,
                            const std::vector<Message>& attributes = {},
                            const std::string& name = "") {
  Message message;
  for (const std::string& input : inputs) message.add_bytes(1, input);
  for (const std::string& output : outputs) message.add_bytes(2, output);
  if (!name.empty()) message.add_bytes(3, name);
  message.add_bytes(4, type);
  for (const Message& one : attributes) message.add_message(5, one);
  return message;
}

/// A graph input or output; an extent of -1 is left open.
inline Message value_message(const std::string& name, const std::vector<std::int64_t>& dims,
                             std::int64_t type = 1) {
  Message shape;
  for (const std::int64_t dim : dims) {
    shape.add_message(1, dim < 0 ? with(2, std::string_view("N")) : with(1, dim));
  }
  Message tensor = with(1, type);
  tensor.add_message(2, shape);
  Message value = with(1, std::string_view(name));
  value.add_message(2, with(1, tensor));
  return value;
}

/// What a model is made of; `bytes` puts it together.
struct ModelParts {
  std::vector<Message> nodes;
  std::vector<std::pair<std::string, Tensor>> initializers;
  std::vector<Message> inputs, outputs;
  std::int64_t opset = 17;
  std::string producer = {};

  std::string bytes() const {
    Message graph;
    for (const Message& node : nodes) graph.add_message(1, node);
    graph.add_bytes(2, "test");
    for (const auto& [name, tensor] : initializers) {
      graph.add_message(5, tensor_message(name, tensor));
    }
    for (const Message& input : inputs) graph.add_message(11, input);
    for (const Message& output : outputs) graph.add_message(12, output);
    Message model;
    model.add_int(1, 8);
    if (!producer.empty()) model.add_bytes(2, producer);
    model.add_message(7, graph);
    model.add_message(8, with(2, opset));
    return model.bytes();
  }
};

/// Nodes from x of these dimensions, batch first, to y.
inline ModelParts model_of(std::vector<Message> nodes, const std::vector<std::int64_t>& input) {
  ModelParts parts;
  parts.nodes = std::move(nodes);
  parts.inputs = {value_message("x", input)};
  parts.outputs = {value_message("y", {-1})};
  return parts;
}

/// A folder of this process that goes with it.
inline const std::filesystem::path& test_folder() {
  struct Folder {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("evenkeel-deploy-" + std::to_string(::getpid()));
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path;
}

inline std::filesystem::path write_file(const std::string& name, std::string_view bytes) {
  const std::filesystem::path path = test_folder() / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

inline std::string file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The tensor of a TensorProto file.
inline Tensor read_tensor(const std::filesystem::path& path) {
  const std::string tensor = file_bytes(path) + with(8, std::string_view("tensor")).bytes();
  Message model = with(7, with(5, std::string_view(tensor)));
  model.add_message(8, with(2, std::int64_t{17}));
  const auto file = write_file("tensor.onnx", model.bytes());
  return read_onnx(file).initializers.at("tensor");
}

}  // namespace evenkeel::deploy::testing
