#include "nn/layers/step_rows.h"

#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/linear.h>

namespace evenkeel::nn {

void add_input_gradient(const Tensor& dy, const Tensor& weight, Tensor& dx) {
  Tensor product = Tensor::like(dx);
  ops::linear_backward_data(dy, weight, product);
  ops::accumulate(product, dx);
}

void accumulate_state_weight(const SequenceRows& rows, const Tensor& h, const Tensor& da,
                             Tensor& dweight) {
  if (rows.spans().size() < 2) return;
  const std::int64_t first = rows.spans()[1].begin;
  // One product over all steps instead of one per step.
  Tensor before = Tensor::empty({rows.count() - first, h.dim(1)}, h.dtype());
  for_each_step(rows, [&](const Step& step) {
    if (step.number == 0) return;
    const std::int64_t begin = step.rows.begin - first;
    before.slice(begin, begin + step.rows.running).copy_from(step.before(h));
  });
  Tensor none;
  ops::linear_backward_weight(before, da.slice(first, rows.count()), dweight, none);
}

}  // namespace evenkeel::nn
