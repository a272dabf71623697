// Long short-term memory, with batch or layer norm inside if wished.
#pragma once

#include <optional>

#include <evenkeel/nn/layers/recurrent.h>

namespace evenkeel::nn {

enum class RecurrentNormKind {
  none,
  batch,  ///< statistics of each time step (Cooijmans et al. 2016)
  layer,  ///< each sequence and step by itself (Ba, Kiros and Hinton 2016, equations 20 to 22)
};

/// Normalization inside an LSTM. W_ih·x, W_hh·h and, if wished, the cell are normalized apart.
struct RecurrentNorm {
  RecurrentNormKind kind = RecurrentNormKind::none;
  double eps = 1e-5;
  /// Of batch norm: the weight of the newest batch, as in BatchNorm; none: the plain average of all
  /// batches.
  std::optional<double> momentum = 0.1;
  /// What γ begins at; unset: 0.1 for batch norm, since with 1 the gates saturate, and 1 for layer
  /// norm.
  std::optional<double> gamma = std::nullopt;
  /// c_t is normalized before its tanh; unset: with layer norm only.
  std::optional<bool> cell = std::nullopt;
  /// Of batch norm: how many time steps have running statistics of their own.
  std::int64_t max_steps = 64;
  /// Of batch norm: the last statistics serve the steps beyond; else a longer sequence is refused.
  bool reuse = true;
};

/// Changing them later has no effect: the layer copies them.
struct LstmOptions {
  std::int64_t num_layers = 1;
  bool bidirectional = false;  ///< a second net reads every sequence from its own end
  bool bias = true;
  double dropout = 0;  ///< on what each stacked layer hands to the next, in training
  RecurrentNorm norm = {};
};

/// i, f, o = σ(gates), g = tanh(gates), c ← f·c + i·g, h = o·tanh(c), as PyTorch has it, with gates
/// W_ih·x + b_ih + W_hh·h + b_hh in the order i, f, g, o. Shapes, names and lengths as in
/// Recurrent.
///
/// With a norm, gates = N(W_ih·x; γ_ih, b_ih) + N(W_hh·h; γ_hh, b_hh), and h = o·tanh(N(c; γ_c,
/// β_c)) where the cell is normalized: the biases are the β. The parameters are then joined by
/// gamma_ih, gamma_hh [4H], gamma_c and beta_c [H], and with batch norm each X of ih, hh and c has
/// the buffers running_mean_X, running_var_X (f64 [max_steps, C]) and num_batches_tracked_X (i64
/// [max_steps]), all with the suffix of their cell (_l0, _l0_reverse). In the first step h is zero
/// and its norm β.
///
/// A time step that fewer than two sequences reach is normalized with the running statistics, and
/// one that no training batch has reached with those of the last that was. Forward throws
/// ShapeError for a batch of one sequence in training, and beyond max_steps without `reuse`.
class LSTM : public Cloneable<LSTM, Recurrent> {
 public:
  /// Throws UsageError for values out of range.
  LSTM(std::int64_t input_size, std::int64_t hidden_size, LstmOptions options = {});

  std::string_view type() const override { return "LSTM"; }
  Options options() const override;
  std::string mode_note() const override;
  /// As in Recurrent; γ begins at norm().gamma, β_c at 0, statistics anew.
  void reset_parameters(Random& random) override;

  /// With gamma and cell settled where there is a norm.
  const RecurrentNorm& norm() const { return norm_; }

 protected:
  void check_run(const SequenceRows& rows) const override;
  Tensor run(std::size_t cell, const SequenceRows& rows, const Tensor& x,
             std::unique_ptr<Pass>* pass) override;
  Tensor run_back(std::size_t cell, const SequenceRows& rows, const Pass& pass, Tensor dh,
                  bool wants_dx) override;

 private:
  struct LstmPass;
  class Work;

  /// Of one normalization; beta where has_beta, the last three with batch norm.
  struct NormIds {
    Id gamma = 0, beta = 0;
    bool has_beta = false;
    Id mean = 0, var = 0, batches = 0;
  };
  struct CellNorms {
    NormIds ih, hh, c;
  };

  bool normalizes_cell() const { return norm_.cell.value_or(false); }
  void register_norms();
  NormIds register_norm(const std::string& name, std::int64_t channels);
  void reset_norm(const NormIds& ids);

  RecurrentNorm norm_;
  std::vector<CellNorms> norms_;  // one per cell, empty without a norm
};

}  // namespace evenkeel::nn
