// Attention of a sequence to itself.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

class SequenceRows;

/// Changing them later has no effect: the layer copies them.
struct AttentionOptions {
  bool bias = true;
  double dropout = 0;  ///< on the attention weights, in training
};

/// Multi-head attention (Vaswani et al. 2017) with queries, keys and values from the same sequence:
/// x [N, embed_dim, T] → y of the same shape, f32 or f64 like the parameters (bf16: Module), either
/// layout. Every valid step attends to all valid steps of its sequence; padding is never looked at,
/// and y is zero there.
///
/// Parameters as PyTorch names them: in_proj_weight [3E, E], in_proj_bias [3E], out_proj.weight
/// [E, E], out_proj.bias [E].
class MultiheadAttention : public Cloneable<MultiheadAttention> {
 public:
  /// Throws UsageError for sizes below 1, and where the heads do not divide embed_dim.
  MultiheadAttention(std::int64_t embed_dim, std::int64_t num_heads, AttentionOptions options = {});

  std::string_view type() const override { return "MultiheadAttention"; }
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// PyTorch's: in_proj_weight after Glorot, out_proj.weight from U(±1/√E), biases zero.
  void reset_parameters(Random& random) override;

  std::int64_t embed_dim() const { return embed_; }

  // For layers that hold sequences as rows (RowOrder::by_sequence).

  /// y [rows, E] for x [rows, E]; saves like forward.
  Tensor forward_rows(std::shared_ptr<const SequenceRows> rows, const Tensor& x);
  /// dx [rows, E] for dy [rows, E], for the latest forward_rows.
  Tensor backward_rows(const Tensor& dy);

 private:
  struct Saved;
  SavedBase* own_saved() override { return &saved_; }
  Tensor bias_of(Id id) const { return options_.bias ? parameter(id).value : Tensor(); }

  std::int64_t embed_, heads_;
  AttentionOptions options_;
  Id in_weight_ = 0, in_bias_ = 0, out_weight_ = 0, out_bias_ = 0, random_ = 0;
  SavedStack<std::shared_ptr<Saved>> saved_;
};

}  // namespace evenkeel::nn
