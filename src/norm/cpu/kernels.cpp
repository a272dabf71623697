// The f32 kernels, compiled once per instruction set by Highway, and the table of all kernels.

#include "norm/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "norm/cpu/kernels.cpp"
#include <hwy/foreach_target.h>  // must come before the kernels
#include <hwy/highway.h>

#if EVENKEEL_KERNELS_FOR_TARGET
#include "norm/cpu/collect-inl.h"
#include "norm/cpu/normalize-inl.h"
#include "norm/cpu/propagate-inl.h"
#include "norm/cpu/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

const RowImplementation& row_implementation();  // row_kernels.cpp
Implementation bf16_implementation();           // bf16_kernels.cpp
InstructionSet make_instruction_set(const char* name);
InstructionSet make_instruction_set(const char* name) {
  const Implementation f32{
      false,         find_centres<float>, collect<float>,       normalize<float>,
      reduce<float>, propagate<float>,    &row_implementation()};
  return {name, f32, bf16_implementation()};
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
#include <string_view>
#include <vector>

namespace evenkeel::norm {
namespace {

/// Highway's targets of this build in order of preference, with the names users type.
std::vector<InstructionSet> make_table() {
  std::vector<InstructionSet> table;
  const auto add = [&](std::int64_t target, const char* name, auto make) {
    if ((hwy::SupportedTargets() & target) != 0) table.push_back(make(name));
  };
#if HWY_TARGETS & HWY_AVX3
  add(HWY_AVX3, "avx512", N_AVX3::make_instruction_set);
#endif
#if HWY_TARGETS & HWY_AVX2
  add(HWY_AVX2, "avx2", N_AVX2::make_instruction_set);
#endif
#if HWY_TARGETS & HWY_SSE4
  add(HWY_SSE4, "sse4", N_SSE4::make_instruction_set);
#endif
#if HWY_TARGETS & HWY_SSSE3
  add(HWY_SSSE3, "ssse3", N_SSSE3::make_instruction_set);
#endif
#if HWY_TARGETS & HWY_NEON
  add(HWY_NEON, "neon", N_NEON::make_instruction_set);
#endif
#if HWY_TARGETS & HWY_EMU128
  add(HWY_EMU128, "emulated", N_EMU128::make_instruction_set);
#endif
  return table;
}

}  // namespace

std::span<const InstructionSet> instruction_sets() {
  static const std::vector<InstructionSet> table = make_table();
  return table;
}

}  // namespace evenkeel::norm
#endif  // HWY_ONCE
