// exp, sigmoid and tanh of f32 written so that compilers vectorize loops over them: no calls, no
// tables, and no arithmetic that only one side of a comparison needs.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace evenkeel::ops::detail {

/// x = n·ln2 + r with |r| ≤ ln2/2, and e^r = 1 + q.
struct ReducedExp {
  std::int32_t n;
  float q;

  explicit ReducedExp(float x) {
    constexpr float kShift =
        12582912.0f;  // 1.5·2^23: adding it rounds to an integer in the low bits
    const float shifted = x * 1.44269504f + kShift;
    const float whole = shifted - kShift;
    // ln2 in two parts, the first with few enough bits that its product with n is exact.
    const float r = (x - whole * 0.693145752f) - whole * 1.42860677e-06f;
    float p = 1.98412698e-04f;  // Taylor's series: the next term is below 2^-27 of the result
    p = p * r + 1.38888889e-03f;
    p = p * r + 8.33333333e-03f;
    p = p * r + 4.16666667e-02f;
    p = p * r + 1.66666667e-01f;
    p = p * r + 0.5f;
    q = p * (r * r) + r;
    n = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted) - 0x4B400000u);
  }
};

/// 2^n for n in [-126, 127].
inline float power_of_two(std::int32_t n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

/// e^x for x ≤ 0, within 2 ulp down to the denormals. NaN stays NaN.
inline float exp_of_negative(float x) {
  const ReducedExp e(x < -104.0f ? -104.0f : x);  // e^-104 rounds to zero
  const std::int32_t half = e.n >> 1;             // in two steps, because 2^-150 is not a float
  return (e.q + 1.0f) * power_of_two(half) * power_of_two(e.n - half);
}

/// e^x − 1 for x ≤ 0, without cancellation near zero.
inline float expm1_of_negative(float x) {
  const ReducedExp e(x < -40.0f ? -40.0f : x);  // there it is -1 already
  const float scale = power_of_two(e.n);
  return scale * e.q + (scale - 1.0f);
}

inline float sigmoid(float x) {
  const float e = exp_of_negative(-std::fabs(x));
  // e/(1 + e) keeps its digits where the result is near zero.
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
inline double sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

inline float tanh(float x) {
  const float m = expm1_of_negative(-2.0f * std::fabs(x));
  return std::copysign(m / (2.0f + m), x);
}
inline double tanh(double x) { return std::tanh(x); }

}  // namespace evenkeel::ops::detail
