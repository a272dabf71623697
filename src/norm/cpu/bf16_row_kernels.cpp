// The row geometry's kernels of tensors stored in bf16, compiled once per instruction set by
// Highway; bf16_kernels.cpp puts them into the table.

#include "norm/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "norm/cpu/bf16_row_kernels.cpp"
#include <hwy/foreach_target.h>  // must come before the kernels
#include <hwy/highway.h>

#if EVENKEEL_KERNELS_FOR_TARGET
#include "norm/cpu/row_collect-inl.h"
#include "norm/cpu/row_normalize-inl.h"
#include "norm/cpu/row_propagate-inl.h"
#include "norm/cpu/row_reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

const RowImplementation& bf16_row_implementation();
const RowImplementation& bf16_row_implementation() {
  static const RowImplementation row{false,
                                     collect_rows<bf16>,
                                     normalize_rows<bf16>,
                                     reduce_elements<bf16>,
                                     reduce_channels<bf16>,
                                     propagate_rows<bf16>};
  return row;
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
