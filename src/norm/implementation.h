// The table of implementations: what each must provide, in units of work that the driver spreads
// over threads.
#pragma once

#include <cmath>
#include <span>

#include "norm/cut.h"
#include "norm/passage.h"
#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::norm {

/// Per-channel numbers of the normalizing pass, prepared once per call. The kernels compute
/// ((x − hi) − lo)·scale + shift, rounded once each; channels marked wide leave the range in which
/// that is exact enough and are computed in double from mean and inv_std.
struct Coefficients {
  std::span<float> hi, lo, scale, shift;
  std::span<std::uint8_t> wide;
  std::span<std::uint8_t> extreme;  ///< extreme_statistics(): sums are taken in double as well
};

/// Whether |value| is outside [low, high] and not 0.
inline bool leaves_f32_range(double value, double low, double high) {
  const double size = std::abs(value);
  return size > high || (size > 0 && size < low);
}

/// Statistics with which f32 differences and products would lose digits or overflow.
inline bool extreme_statistics(double mean, double var, double inv_std) {
  return std::isfinite(mean) && std::isfinite(inv_std) &&
         (std::abs(mean) > 0x1p100 || leaves_f32_range(var, 0x1p-120, 0x1p120) ||
          leaves_f32_range(inv_std, 0x1p-60, 0x1p60));
}

struct NormalizeJob {
  ConstChannelView x;
  ChannelView y;
  const BatchNormState& state;
  const Affine& affine;
  const Epilogue& epilogue;
  Coefficients coefficients;
  std::uint8_t* mask;  ///< null without an activation or where nobody wants it
  Passage passage;
};

struct GradientJob {
  ConstChannelView x, dy;
  const BatchNormState& state;
  const Affine& affine;
  const Epilogue& epilogue;
  Coefficients coefficients;  ///< hi, lo, wide; scale = γ·inv_std
  // Of propagate only: dx = scale·((g − a) − centred·b).
  std::span<const double> a, b;
  std::span<const float> a_hi, a_lo, b_f32;
  ChannelView dx;
  const std::optional<ChannelView>* dadd = nullptr;
  bool constant_statistics = false;  ///< a and b are zero
  Passage passage;                   ///< of propagate; reduce goes by `ahead`
};

struct RowImplementation;

/// What collect measures the values of each channel from, and how it goes through memory.
struct CollectJob {
  ConstChannelView x;
  std::span<float> centre;  ///< C values, of find_centres
  std::int64_t ahead = 0;   ///< as in Passage
};

/// What works on activations of one dtype. Ranges are [channel begin, channel end), of any number
/// of slabs, and groups or rows of the Cut; the results of a group go to out[c].
struct Implementation {
  bool whole_channels;  ///< wants a Cut with one block per channel
  /// Writes job.centre for channels [c0, c1).
  void (*find_centres)(const CollectJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1);
  void (*collect)(const CollectJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                  std::int64_t group, double* pivot, double* first, double* second);
  void (*normalize)(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1);
  void (*reduce)(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                 std::int64_t group, double* g, double* g_centred);
  void (*propagate)(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1);
  const RowImplementation* rows;  ///< the same of the row geometry (row_implementation.h)
};

/// One row of the table.
struct InstructionSet {
  const char* name;
  Implementation f32, bf16;
};

/// Runs any dtype.
extern const Implementation kReference;
/// The SIMD implementations that this build has and this processor runs, best first.
std::span<const InstructionSet> instruction_sets();

/// The implementation for a dtype, of the instruction set that was chosen.
const Implementation& select(DType dtype);

}  // namespace evenkeel::norm
