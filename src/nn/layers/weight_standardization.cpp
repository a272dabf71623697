#include "nn/layers/weight_standardization.h"

#include <utility>

#include <evenkeel/core/memory.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {

StandardizedWeight::StandardizedWeight(const Tensor& weight, double eps)
    : weight_(weight), value_(Tensor::like(weight)) {
  const int axes = weight.rank() - 1;
  const norm::ConstRowView rows = norm::row_view(std::as_const(weight_), axes);
  const std::size_t state_bytes = norm::row_state_size(rows);
  const std::size_t workspace_bytes = norm::row_workspace_size(rows);
  memory_ = allocate(state_bytes + workspace_bytes);
  state_ = norm::bind_row_state({memory_.get(), state_bytes}, rows);
  workspace_ = {memory_.get() + state_bytes, workspace_bytes};
  norm::forward_rows(rows, {}, {.eps = eps}, norm::row_view(value_, axes), &state_, workspace_);
}

void StandardizedWeight::accumulate(Tensor& gradient_of_value, Tensor& gradient) {
  const int axes = weight_.rank() - 1;
  const norm::RowView rows = norm::row_view(gradient_of_value, axes);
  norm::backward_rows(norm::row_view(std::as_const(weight_), axes), rows, {}, state_,
                      norm::Centre::mean, rows, {}, {}, workspace_);
  ops::accumulate(gradient_of_value, gradient);
}

}  // namespace evenkeel::nn
