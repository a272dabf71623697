// Which of Highway's targets the kernels are compiled for; to be included before Highway.
#pragma once

// AVX3_DL differs from AVX3 only in instructions that are not used here. SSE4 and SSSE3 run the
// same 128-bit code, and a sanitizer makes it a matter of minutes to compile: there one of them
// will do.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HWY_DISABLED_TARGETS (HWY_AVX3_DL | HWY_SSE4)
#else
#define HWY_DISABLED_TARGETS HWY_AVX3_DL
#endif

/// Whether the kernels are wanted for the target being compiled: not as scalar code, which Highway
/// adds for processors without any of the others, where the reference does as well.
#define EVENKEEL_KERNELS_FOR_TARGET (HWY_TARGET != HWY_SCALAR)
