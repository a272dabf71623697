// Batch norm that keeps its result y = act(γx̂ + β) instead of x, and has x̂ back from it (Rota Bulò,
// Porzi and Kontschieder, 2018, https://arxiv.org/abs/1712.02616): x̂ = (act⁻¹(y) − β)/γ.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <evenkeel/core/tensor.h>
#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::nn {

/// The largest |β|/|γ| with which x̂ is had back. y is rounded once, act⁻¹ of it a second time: in
/// f32 x̂ comes back with an error of some 2^-24·(|x̂| + |β|/|γ|). docs/memory.md has measurements.
inline constexpr double kMostShift = 8;
/// |γ| and the slope of an activation lie between these, far from where f32 over- or underflows.
inline constexpr double kLeastScale = 0x1p-40;
inline constexpr double kMostScale = 0x1p40;

/// With fewer values per channel dx is little of what it is the difference of (with two of them,
/// nearly nothing), and x̂ must be better than y has it.
inline constexpr std::int64_t kLeastValues = 9;

/// Whether the activation has an inverse, and one that keeps digits.
bool invertible(norm::Activation activation, double slope);

/// What a forward that writes y over x keeps beside y.
class Recovery {
 public:
  Recovery() = default;
  /// Copies γ and β, and those channels of x that y does not give back: |γ| too small for |β|, or
  /// out of range, or not finite. Call it before x is overwritten; throws std::bad_alloc.
  Recovery(const Tensor& x, const norm::Affine& affine);

  /// Whether so few channels must be kept that it is worth while.
  static bool pays(std::int64_t channels, const norm::Affine& affine);
  /// Whether backward() needs memory to write z to.
  bool rewrites(const norm::Epilogue& epilogue) const {
    return epilogue.activation != norm::Activation::none || !channels_.empty();
  }
  /// Bytes of scratch memory for backward() over a part of these dimensions; aligned to 8.
  static std::size_t scratch_size(const norm::ConstChannelView& y, const norm::Epilogue& epilogue);

  /// One virtual batch.
  struct Part {
    std::int64_t begin;  ///< its first sample
    norm::ConstChannelView y, dy;
    norm::ChannelView z;  ///< overwritten where it rewrites(), dy it is not; may be y or dx
    norm::ChannelView dx;
    norm::VectorView dgamma, dbeta;
    std::span<const double> mean, var, inv_std;  ///< as forward found them
    bool constant;                               ///< the statistics were
  };
  /// What norm::backward_train, or backward_infer for constant statistics, would make of x: exactly
  /// in the channels that were kept. γ is the layer's now. Takes no memory.
  void backward(const Part& part, const norm::ConstVectorView& gamma,
                const norm::Epilogue& epilogue, std::span<std::byte> scratch,
                std::span<std::byte> workspace) const;

 private:
  std::vector<double> gamma_, beta_;
  std::vector<std::int64_t> channels_;  // which are kept
  Tensor kept_;                         // [N, how many, S], in the layout of x
};

}  // namespace evenkeel::nn
