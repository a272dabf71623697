// Batch renormalization layers (Ioffe, "Batch Renormalization", 2017).
//
// Training computes x̂ = (x − μ_B)/σ_B·r + d with r = σ_B/σ from 1/r_max to r_max and
// d = (μ_B − μ)/σ from −d_max to d_max, which backward treats as constants; μ_B and σ_B = √(σ²_B +
// ε) are the batch's, μ and σ = √(running_var + ε) what the layer has gathered from the batches
// before. Where neither limit cuts, that is what eval mode computes. docs/relatives.md has the
// mathematics.
#pragma once

#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::nn {

/// [N, C] or [N, C, L]. Needs track_running_stats.
class BatchRenorm1d : public Cloneable<BatchRenorm1d, SequenceBatchNorm> {
 public:
  explicit BatchRenorm1d(std::int64_t channels, BatchNormOptions options = {},
                         RenormOptions renorm = {})
      : Cloneable(channels, 2, 3, options, renorm) {}
  std::string_view type() const override { return "BatchRenorm1d"; }
};

/// [N, C, H, W].
class BatchRenorm2d : public Cloneable<BatchRenorm2d, BatchNorm> {
 public:
  explicit BatchRenorm2d(std::int64_t channels, BatchNormOptions options = {},
                         RenormOptions renorm = {})
      : Cloneable(channels, 4, 4, options, renorm) {}
  std::string_view type() const override { return "BatchRenorm2d"; }
};

/// [N, C, D, H, W].
class BatchRenorm3d : public Cloneable<BatchRenorm3d, BatchNorm> {
 public:
  explicit BatchRenorm3d(std::int64_t channels, BatchNormOptions options = {},
                         RenormOptions renorm = {})
      : Cloneable(channels, 5, 5, options, renorm) {}
  std::string_view type() const override { return "BatchRenorm3d"; }
};

}  // namespace evenkeel::nn
