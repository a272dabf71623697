// The layout of the row operators' scratch memory and state.
#pragma once

#include <cstddef>
#include <span>

#include "norm/row_implementation.h"

namespace evenkeel::norm {

/// Everything that a call needs beside its arguments. Some of it is of one direction alone; what a
/// row geometry never uses is empty.
struct RowScratch {
  RowNormState own;                ///< where the caller gives no state
  std::span<ShiftedSums> partial;  ///< units × parts × slab_groups, where there are several parts
  std::span<RowSums> sums;         ///< rows, where units are cut
  std::span<RowSums> partial_sums;  ///< rows × parts, γ per element
  /// γ per element: chunks × parameters. Per channel: slices × n × channels, one slice channels
  /// first.
  std::span<double> dgamma, dbeta;
  std::span<float> gamma, beta;  ///< parameters: f32 copies of f64 ones

  RowScratch(const RowCut& cut, std::span<std::byte> workspace);
  static std::size_t size(const RowCut& cut);
};

}  // namespace evenkeel::norm
