// Gated recurrent units.
#pragma once

#include <evenkeel/nn/layers/recurrent.h>

namespace evenkeel::nn {

/// r, z = σ(gates), n = tanh(W_in·x + b_in + r·(W_hn·h + b_hn)); h ← (1 − z)·n + z·h, as PyTorch
/// has it, with gates in the order r, z, n. Shapes, names and lengths as in Recurrent.
class GRU : public Cloneable<GRU, Recurrent> {
 public:
  /// Throws UsageError for values out of range.
  GRU(std::int64_t input_size, std::int64_t hidden_size, RecurrentOptions options = {})
      : Cloneable("GRU", input_size, hidden_size, 3, options) {}

  std::string_view type() const override { return "GRU"; }

 protected:
  Tensor run(std::size_t cell, const SequenceRows& rows, const Tensor& x,
             std::unique_ptr<Pass>* pass) override;
  Tensor run_back(std::size_t cell, const SequenceRows& rows, const Pass& pass, Tensor dh,
                  bool wants_dx) override;

 private:
  struct GruPass;
};

}  // namespace evenkeel::nn
