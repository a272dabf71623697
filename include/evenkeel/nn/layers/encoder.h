// A layer of the encoder of "Attention is all you need".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/nn/layers/container.h>

namespace evenkeel::nn {

class MultiheadAttention;
class SequenceRows;

/// Changing them later has no effect: the layer copies them.
struct EncoderOptions {
  std::int64_t feedforward_dim = 0;  ///< 0: four times embed_dim
  std::string norm = "layer";        ///< layer, rms, batch or none
  bool norm_first = true;            ///< before each part, else after each sum
  std::string activation = "gelu";   ///< relu or gelu
  double dropout = 0.1;  ///< on attention weights, inside the feed-forward part, before each sum
  double eps = 1e-5;     ///< of the normalizations
  std::optional<double> momentum = 0.1;  ///< of batch norm, as in BatchNorm; none: plain average
};

/// Self-attention and a feed-forward part applied to every step, each with a connection past it
/// (Vaswani et al. 2017; normalized before each part after Xiong et al. 2020):
///
///     norm_first:  y = x + attend(norm1(x));   z = y + feed(norm2(y))
///     else:        y = norm1(x + attend(x));   z = norm2(y + feed(y))
///
/// x [N, embed_dim, T] → z of the same shape, either layout. Padding is never looked at, z is zero
/// there, and batch norm takes its statistics over the valid steps of all sequences.
///
/// Children under PyTorch's names: self_attn, linear1, linear2, norm1, norm2, so that the state
/// dict of its TransformerEncoderLayer fits.
class EncoderLayer : public Cloneable<EncoderLayer, Container> {
 public:
  /// Throws UsageError for values out of range and unknown words.
  EncoderLayer(std::int64_t embed_dim, std::int64_t num_heads, EncoderOptions options = {});

  std::string_view type() const override { return "EncoderLayer"; }
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  std::vector<Shape> child_inputs(const Shape& input) const override;
  /// Its children are of fixed kinds: UsageError.
  void replace(std::size_t i, std::unique_ptr<Module> layer) override;

 protected:
  Tensor run_forward(Tensor x) override;
  Tensor run_backward(Tensor dy) override;

 private:
  struct Saved {
    std::shared_ptr<const SequenceRows> rows;
    DType dtype;
    Layout layout;
  };
  SavedBase* own_saved() override { return &saved_; }
  MultiheadAttention& attention();
  Tensor feed(const Tensor& x);
  Tensor feed_back(const Tensor& dy);

  std::int64_t embed_, heads_;
  EncoderOptions options_;
  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
