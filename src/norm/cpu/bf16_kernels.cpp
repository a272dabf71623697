// The kernels of tensors stored in bf16, compiled once per instruction set by Highway; kernels.cpp
// puts them into the table.

#include "norm/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "norm/cpu/bf16_kernels.cpp"
#include <hwy/foreach_target.h>  // must come before the kernels
#include <hwy/highway.h>

#if EVENKEEL_KERNELS_FOR_TARGET
#include "norm/cpu/collect-inl.h"
#include "norm/cpu/normalize-inl.h"
#include "norm/cpu/propagate-inl.h"
#include "norm/cpu/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

const RowImplementation& bf16_row_implementation();  // bf16_row_kernels.cpp
Implementation bf16_implementation();
Implementation bf16_implementation() {
  return {false,           find_centres<bf16>,        collect<bf16>, normalize<bf16>, reduce<bf16>,
          propagate<bf16>, &bf16_row_implementation()};
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
