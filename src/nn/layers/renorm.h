// Batch renormalization of one batch, made of the phases of batch norm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::nn {

/// r lies from 1/r to r and d from −d to d.
struct RenormLimits {
  double r = 1, d = 0;
};
/// The limits once so many batches have been tracked.
RenormLimits limits_at(const RenormOptions& options, std::int64_t batches);

/// r and d of each channel, C values each.
struct Correction {
  std::span<double> r, d;
};

/// What a renormalizing pass writes beside y and dx; all of it is the caller's.
struct RenormMemory {
  norm::BatchNormState state;  ///< the batch's own statistics
  Correction correction;
  std::span<double> scratch;  ///< 3·C values that mean nothing between calls
  std::span<std::byte> workspace;
};

/// Overwrites y, state and correction, and folds the batch into `running`, which r and d are made
/// from first. Returns whether it did (see norm::RunningStats::refuse_non_finite). x is not empty.
bool renorm_forward(const norm::ConstChannelView& x, const norm::Affine& affine, double eps,
                    const RenormLimits& limits, norm::RunningStats& running,
                    const norm::Epilogue& epilogue, const norm::ChannelView& y,
                    RenormMemory& memory);

/// Gradients with r and d as constants: with g = dy·act', dβ += Σg, dγ += Σg·x̂,
/// dx = γ·r/σ_B·(g − Σg/m − x̂_B·Σ(g·x̂_B)/m) where x̂_B = (x − μ_B)/σ_B.
void renorm_backward(const norm::ConstChannelView& x, const norm::ConstChannelView& dy,
                     const norm::Affine& affine, const norm::Epilogue& epilogue,
                     const norm::ChannelView& dx, norm::VectorView dgamma, norm::VectorView dbeta,
                     const std::optional<norm::ChannelView>& dadd, const RenormMemory& memory);

}  // namespace evenkeel::nn
