// The element types of PyTorch's storages.
#pragma once

#include <cstdint>
#include <string_view>

#include "io/widen.h"
#include <evenkeel/core/dtype.h>

namespace evenkeel::io {

struct TorchType {
  std::string_view storage;  ///< the class of its storages, in the module torch
  std::string_view name;     ///< "f16"
  std::size_t size;          ///< in the file
  DType dtype;               ///< in memory
  Convert convert;
};

/// The type of that storage class, or nullptr.
const TorchType* find_torch_type(std::string_view storage);

}  // namespace evenkeel::io
