// The safetensors format: named tensors with a JSON header.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <evenkeel/core/tensor.h>

namespace evenkeel::io {

struct TensorFile {
  std::vector<std::pair<std::string, Tensor>> tensors;  ///< in file order
  std::map<std::string, std::string> metadata;          ///< the header's __metadata__

  /// The tensor of that name, or nullptr.
  const Tensor* find(const std::string& name) const;
};

/// Reads a whole file. F32, F64, BF16, I64, I32 and U8 become tensors of that dtype; F16 is widened
/// to f32; other known dtypes are refused by name. Sizes are checked against the file before memory
/// is taken. Throws IoError naming the file, the tensor and the fault.
TensorFile read_safetensors(const std::filesystem::path& path);
/// Writes atomically (temporary file in the same folder, fsync, rename, fsync of the folder).
/// Tensors are written channels first. Throws IoError naming the path and the cause; an old file
/// then stays.
void write_safetensors(const std::filesystem::path& path, const TensorFile& content);

}  // namespace evenkeel::io
