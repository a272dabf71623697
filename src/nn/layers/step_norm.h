// Normalization of the rows of one step of a recurrent cell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <evenkeel/core/tensor.h>
#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::nn {

/// γ and β of a normalization and their gradients; β may be undefined.
struct StepAffine {
  Tensor gamma, beta, dgamma, dbeta;
};

/// Rows x [n, C] of step t → y [n, C].
class StepNorm {
 public:
  /// What backward needs of one step beside x.
  struct Saved {
    std::shared_ptr<std::byte> memory;
    std::size_t bytes = 0;
    bool batch_statistics = true;
  };
  virtual ~StepNorm() = default;
  /// Overwrites y; `saved` is filled where it is given.
  virtual void forward(const Tensor& x, std::int64_t step, Tensor& y, Saved* saved) = 0;
  /// Overwrites dx (which may be dy), adds to the gradients of γ and β.
  virtual void backward(const Tensor& x, const Tensor& dy, const Saved& saved, Tensor& dx) = 0;
};

/// Layer norm: every row by itself.
std::unique_ptr<StepNorm> make_step_layer_norm(const StepAffine& affine, double eps);

/// Running statistics of each step, [max_steps, C] and [max_steps].
struct StepStatistics {
  Tensor mean, var, batches;
};
struct StepBatchNormOptions {
  double eps = 1e-5;
  std::optional<double> momentum;
  bool training = true;
};
/// Batch norm over the rows of a step with that step's statistics, as the LSTM layer describes.
std::unique_ptr<StepNorm> make_step_batch_norm(const StepAffine& affine,
                                               const StepStatistics& statistics,
                                               const StepBatchNormOptions& options);

}  // namespace evenkeel::nn
