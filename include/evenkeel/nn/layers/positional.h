// Where in its sequence a step stands, for layers that cannot tell.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

class SequenceRows;

enum class PositionKind : std::uint8_t { sinusoidal, learned };

/// Changing them later has no effect: the layer copies them.
struct PositionOptions {
  PositionKind kind = PositionKind::sinusoidal;
  std::int64_t max_steps = 512;  ///< of learned positions; a longer sequence is an error
};

/// y = x + p_t at the valid steps t of x [N, C, T] in either layout, zero in the padding.
/// sinusoidal: p_t = sin(t/10000^(2i/C)) for the even channel 2i and the cosine for the odd one
/// behind it (Vaswani et al. 2017, section 3.5). learned: the row t of the parameter weight
/// [max_steps, C].
class PositionalEncoding : public Cloneable<PositionalEncoding> {
 public:
  /// Throws UsageError for sizes below 1.
  explicit PositionalEncoding(std::int64_t channels, PositionOptions options = {});

  std::string_view type() const override { return "PositionalEncoding"; }
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// Learned positions from N(0, 0.02²).
  void reset_parameters(Random& random) override;

 private:
  struct Saved {
    Shape input;
    DType dtype;
    Layout layout;
    std::shared_ptr<const SequenceRows> rows;
  };
  SavedBase* own_saved() override { return &saved_; }
  bool learned() const { return options_.kind == PositionKind::learned; }
  /// [1, C]
  Tensor position(std::int64_t step, DType dtype) const;
  void add_weight_gradient(const SequenceRows& rows, const Tensor& dy);

  std::int64_t channels_;
  PositionOptions options_;
  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
