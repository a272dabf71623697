// The steps of a recurrent cell over rows ordered by step.
#pragma once

#include <cstdint>

#include "nn/layers/sequence_rows.h"

namespace evenkeel::nn {

/// The rows of one step, and those of the step before of the sequences that are still running.
struct Step {
  std::int64_t number;
  SequenceRows::Span rows;
  SequenceRows::Span earlier;  ///< all rows of the step before; none at step 0

  /// A view of this step's rows.
  Tensor of(const Tensor& all) const { return all.slice(rows.begin, rows.begin + rows.running); }
  /// A view of the same sequences one step before; undefined at step 0.
  Tensor before(const Tensor& all) const {
    return number == 0 ? Tensor() : all.slice(earlier.begin, earlier.begin + rows.running);
  }
};

inline Step step_of(const SequenceRows& rows, std::size_t number) {
  const auto& spans = rows.spans();
  return {static_cast<std::int64_t>(number), spans[number],
          number == 0 ? SequenceRows::Span{} : spans[number - 1]};
}

template <class F>
void for_each_step(const SequenceRows& rows, F&& f) {
  for (std::size_t t = 0; t < rows.spans().size(); ++t) f(step_of(rows, t));
}
/// From the last step to the first.
template <class F>
void for_each_step_back(const SequenceRows& rows, F&& f) {
  for (std::size_t t = rows.spans().size(); t-- > 0;) f(step_of(rows, t));
}

/// dx += dy·W.
void add_input_gradient(const Tensor& dy, const Tensor& weight, Tensor& dx);
/// Adds the gradient of the weight that the states h [rows, H] of each step have been multiplied
/// with for the next; da [rows, M] is the gradient of the products, whose rows of step 0 are not
/// read.
void accumulate_state_weight(const SequenceRows& rows, const Tensor& h, const Tensor& da,
                             Tensor& dweight);

}  // namespace evenkeel::nn
