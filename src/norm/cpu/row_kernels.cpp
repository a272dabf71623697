// The f32 kernels of the row geometry, compiled once per instruction set by Highway; kernels.cpp
// puts them into the table.

#include "norm/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "norm/cpu/row_kernels.cpp"
#include <hwy/foreach_target.h>  // must come before the kernels
#include <hwy/highway.h>

#if EVENKEEL_KERNELS_FOR_TARGET
#include "norm/cpu/row_collect-inl.h"
#include "norm/cpu/row_normalize-inl.h"
#include "norm/cpu/row_propagate-inl.h"
#include "norm/cpu/row_reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

const RowImplementation& row_implementation();
const RowImplementation& row_implementation() {
  static const RowImplementation row{false,
                                     collect_rows<float>,
                                     normalize_rows<float>,
                                     reduce_elements<float>,
                                     reduce_channels<float>,
                                     propagate_rows<float>};
  return row;
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
