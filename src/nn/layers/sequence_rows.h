// The valid steps of a batch of padded sequences as the rows of a matrix, and back.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Throws ShapeError naming the layer unless x is [N, channels, T] (any number of them for 0).
void expect_sequences(const Module& layer, const Shape& x, std::int64_t channels);
/// Throws ShapeError naming the layer unless x is f32 or f64; for layers without parameters.
void expect_float(const Module& layer, const Tensor& x);

/// The valid steps of each sequence of x [N, C, T] as the layer's lengths say, all T of them where
/// they say nothing. Throws ShapeError naming the layer where there is not one length per sequence,
/// one is negative or beyond T, or all are zero.
std::vector<std::int64_t> valid_steps(const Module& layer, const Shape& x);

/// The order of rows: `by_step` has step 0 of all sequences, then step 1 of those that are still
/// running, and so on, longest sequence first; `by_sequence` has one sequence after the other.
enum class RowOrder : std::uint8_t { by_step, by_sequence };

/// Which place [n, t] each row is. What is computed on rows never sees padding.
class SequenceRows {
 public:
  /// Of sequences with these many valid steps, padded to `steps`.
  SequenceRows(std::vector<std::int64_t> valid, std::int64_t steps, RowOrder order);
  /// Of the steps that a mask, u8 [N, T], does not set to 0, by_sequence. Throws ShapeError
  /// naming the layer where it is not the mask of an x of this shape or leaves nothing of it.
  static SequenceRows of_mask(const Module& layer, const Tensor& mask, const Shape& x);

  /// Valid steps of all sequences together.
  std::int64_t count() const { return static_cast<std::int64_t>(places_.size()); }
  /// by_step: the rows [begin, begin + running) are of one step, those of step t + 1 continue the
  /// first rows of step t. by_sequence: they are of one sequence.
  struct Span {
    std::int64_t begin = 0, running = 0;
  };
  const std::vector<Span>& spans() const { return spans_; }
  /// [N, channels, T], padding and all.
  Shape shape(std::int64_t channels) const {
    return {static_cast<std::int64_t>(valid_.size()), channels, steps_};
  }

  /// The rows [count, C] of x [N, C, T] in either layout.
  Tensor gather(const Tensor& x) const;
  void gather_into(const Tensor& x, Tensor& rows) const;
  /// x [N, C, T] whose valid steps are the rows [count, C], and whose padding is zero.
  Tensor scatter(const Tensor& rows, Layout layout) const;
  void scatter_into(const Tensor& rows, Tensor& x) const;
  /// by_step: every sequence backwards, its last step first. Twice gives the rows again.
  Tensor reversed(const Tensor& rows) const;

 private:
  SequenceRows() = default;
  void order_by_step();
  void order_by_sequence();

  std::vector<std::int64_t> valid_;
  std::int64_t steps_ = 0;
  std::vector<Span> spans_;
  std::vector<std::int64_t> places_;    // of each row: n·T + t
  std::vector<std::int64_t> mirrored_;  // of each row: the row with the same distance to the end
};

}  // namespace evenkeel::nn
