// The f32 kernels, compiled once per instruction set by Highway, and the table of the results.

// AVX3_DL differs from AVX3 only in instructions that are not used here.
#define HWY_DISABLED_TARGETS HWY_AVX3_DL

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "norm/cpu/kernels.cpp"
#include <hwy/foreach_target.h>  // must come before the kernels
#include <hwy/highway.h>

#include "norm/cpu/collect-inl.h"
#include "norm/cpu/normalize-inl.h"
#include "norm/cpu/propagate-inl.h"
#include "norm/cpu/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

const RowImplementation& row_implementation();  // row_kernels.cpp
Implementation make_implementation(const char* name);
Implementation make_implementation(const char* name) {
  return {name,      false,  find_centres, collect,
          normalize, reduce, propagate,    &row_implementation()};
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <string_view>
#include <vector>

namespace evenkeel::norm {
namespace {

/// Highway's targets of this build in order of preference, with the names users type.
std::vector<Implementation> make_table() {
  std::vector<Implementation> table;
  const auto add = [&](std::int64_t target, const char* name, auto make) {
    if ((hwy::SupportedTargets() & target) != 0) table.push_back(make(name));
  };
#if HWY_TARGETS & HWY_AVX3
  add(HWY_AVX3, "avx512", N_AVX3::make_implementation);
#endif
#if HWY_TARGETS & HWY_AVX2
  add(HWY_AVX2, "avx2", N_AVX2::make_implementation);
#endif
#if HWY_TARGETS & HWY_SSE4
  add(HWY_SSE4, "sse4", N_SSE4::make_implementation);
#endif
#if HWY_TARGETS & HWY_SSSE3
  add(HWY_SSSE3, "ssse3", N_SSSE3::make_implementation);
#endif
#if HWY_TARGETS & HWY_NEON
  add(HWY_NEON, "neon", N_NEON::make_implementation);
#endif
#if HWY_TARGETS & HWY_EMU128
  add(HWY_EMU128, "emulated", N_EMU128::make_implementation);
#endif
  return table;
}

}  // namespace

std::span<const Implementation> simd_implementations() {
  static const std::vector<Implementation> table = make_table();
  return table;
}

}  // namespace evenkeel::norm
#endif  // HWY_ONCE
