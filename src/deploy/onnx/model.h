// A checked ONNX model in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/origin.h"
#include <evenkeel/core/tensor.h>

namespace evenkeel::deploy {

/// The element types of the format that mean something here (TensorProto.DataType).
enum class OnnxType : std::int32_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  bfloat16 = 16
};

/// "float", "int64", …; the number for types that are not known.
std::string name_of(OnnxType type);
/// What its elements become here: 16-bit floats f32, small integers i32, booleans u8. Empty for
/// types that cannot be held.
std::optional<DType> held_as(OnnxType type);

/// The key in a model's metadata under which evenkeel writes "biased" or "unbiased": the variance
/// that training folds into the running one, of which ONNX knows the first alone.
inline constexpr const char* kRunningVariance = "evenkeel.running_var";

struct Attribute {
  enum class Kind : std::uint8_t { none, real, integer, text, tensor, reals, integers, texts };
  Kind kind = Kind::none;
  double real = 0;
  std::int64_t integer = 0;
  std::string text;
  Tensor tensor;
  std::vector<double> reals;
  std::vector<std::int64_t> integers;
};

struct OnnxNode {
  std::string name, type;
  std::vector<std::string> inputs, outputs;  ///< "" for those left out
  std::map<std::string, Attribute> attributes;
};

/// A graph input or output.
struct OnnxValue {
  std::string name;
  OnnxType type = OnnxType::undefined;
  /// Its extents, empty for those left open; no list where the rank is.
  std::optional<std::vector<std::optional<std::int64_t>>> dims;
};

struct OnnxModel {
  std::int64_t opset = 0;
  std::string producer;
  std::vector<OnnxNode> nodes;  ///< each behind those it reads
  std::unordered_map<std::string, Tensor> initializers;
  std::vector<OnnxValue> inputs;  ///< without the initializers
  std::vector<OnnxValue> outputs;
  std::map<std::string, std::string> metadata;
};

/// Layer norms that are written out, as exporters do below operator set 17, become
/// LayerNormalization nodes in the places of their last nodes, with the dimensions under this name;
/// those without a scale have one input.
inline constexpr const char* kNormalizedAxes = "axes";
void join_layer_norms(OnnxModel& model);

/// "[onnx] 'model.onnx': node 'conv1' (Conv)".
io::Origin place_of(const io::Origin& origin, const OnnxNode& node);

/// Reads and checks: every value is defined once and before use (nodes are sorted), sizes fit,
/// types are known, external data lies in the model's folder. Throws IoError.
OnnxModel read_onnx(const std::filesystem::path& path);

}  // namespace evenkeel::deploy
