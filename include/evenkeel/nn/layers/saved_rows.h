// What layers that normalize rows keep for backward.
#pragma once

#include <memory>

#include <evenkeel/core/tensor.h>
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::nn {

/// One forward of the row geometry: its input, as rows, and their statistics.
struct SavedRows {
  Tensor x;
  norm::ConstRowView rows;            ///< of x; the pointer is not used
  std::shared_ptr<std::byte> memory;  ///< of the statistics
};

}  // namespace evenkeel::nn
