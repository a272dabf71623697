#include "nn/layers/row_pass.h"

#include <cmath>
#include <utility>

#include <evenkeel/core/error.h>

namespace evenkeel::nn {

norm::ConstRowView rows_at(const norm::ConstRowView& rows, const Tensor& x) {
  norm::ConstRowView result = rows;
  result.data = x.raw();
  return result;
}

norm::RowView rows_at(const norm::ConstRowView& rows, Tensor& x) {
  return {x.raw(), rows.dtype, rows.layout, rows.n, rows.groups, rows.channels, rows.s};
}

Tensor forward_rows(const Tensor& x, const norm::ConstRowView& rows, const norm::Affine& affine,
                    const norm::RowNorm& norm, SavedRows* saved) {
  const OperatorMemory workspace(norm::row_workspace_size(rows));
  Tensor y = Tensor::like(x);
  if (saved == nullptr) {
    norm::forward_rows(rows_at(rows, x), affine, norm, rows_at(rows, y), nullptr, workspace.span);
    return y;
  }
  saved->memory = allocate(norm::row_state_size(rows));
  saved->x = x;
  saved->rows = rows;
  norm::RowNormState state = state_of(*saved);
  norm::forward_rows(rows_at(rows, x), affine, norm, rows_at(rows, y), &state, workspace.span);
  return y;
}

norm::RowNormState state_of(const SavedRows& saved) {
  return norm::bind_row_state({saved.memory.get(), norm::row_state_size(saved.rows)}, saved.rows);
}

Tensor backward_rows(const SavedRows& saved, const Tensor& dy, const norm::Affine& affine,
                     norm::Centre centre, norm::VectorView dgamma, norm::VectorView dbeta) {
  const OperatorMemory workspace(norm::row_workspace_size(saved.rows));
  Tensor dx = Tensor::like(saved.x);
  norm::backward_rows(rows_at(saved.rows, saved.x), rows_at(saved.rows, dy), affine,
                      state_of(saved), centre, rows_at(saved.rows, dx), dgamma, dbeta,
                      workspace.span);
  return dx;
}

Relaid::Relaid(const Tensor& x, const Shape& shape, Layout layout) {
  if (x.shape() != shape || x.layout() != layout) room_ = Tensor::empty(shape, x.dtype(), layout);
}

Tensor Relaid::of(const Tensor& result) {
  if (!room_.defined()) return result;
  room_.copy_from(result.shape() == room_.shape() ? result : result.reshape(room_.shape()));
  return std::move(room_);
}

void expect_eps(std::string_view layer, double eps) {
  if (eps >= 0 && std::isfinite(eps)) return;
  fail<UsageError>("[{}] expected eps of 0 or more, got {}; 1e-5 is usual", layer, eps);
}

}  // namespace evenkeel::nn
