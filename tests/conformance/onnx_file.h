// What the ONNX node tests need of the ONNX format: tensors, and the attributes of a single node.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include <evenkeel/core/tensor.h>

namespace evenkeel::conformance {

struct OnnxNode {
  std::string type;                          ///< "BatchNormalization"
  std::map<std::string, double> attributes;  ///< those that are one number

  double get(const std::string& name, double fallback) const {
    const auto it = attributes.find(name);
    return it == attributes.end() ? fallback : it->second;
  }
};

/// A TensorProto file of f32 values. Throws std::runtime_error for anything else.
Tensor read_onnx_tensor(const std::filesystem::path& path);
/// The only node of a ModelProto file.
OnnxNode read_onnx_node(const std::filesystem::path& path);

}  // namespace evenkeel::conformance
