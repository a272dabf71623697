#include "nn/layers/recurrent_row.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include "nn/layers/step_rows.h"
#include <evenkeel/nn/layers/gru.h>
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/linear.h>
#include <evenkeel/ops/recurrent.h>

namespace evenkeel::nn {

struct GRU::GruPass : Pass {
  Tensor x;       // [rows, input]
  Tensor gates;   // [rows, 3H], after their activations
  Tensor hidden;  // [rows, 3H], the state's part before them
  Tensor h;       // [rows, H]
};

Tensor GRU::run(std::size_t index, const SequenceRows& rows, const Tensor& x,
                std::unique_ptr<Pass>* pass) {
  const Cell& cell = cells()[index];
  const std::int64_t units = hidden_size();
  Tensor gates = Tensor::empty({rows.count(), 3 * units}, x.dtype());
  Tensor hidden = Tensor::like(gates);
  Tensor h = Tensor::empty({rows.count(), units}, x.dtype());
  ops::linear_forward(x, parameter(cell.weight_ih).value, bias_of(cell.bias_ih), gates);
  for_each_step(rows, [&](const Step& step) {
    Tensor gates_now = step.of(gates);
    Tensor hidden_now = step.of(hidden);
    Tensor h_now = step.of(h);
    const Tensor before = step.before(h);
    if (before.defined()) {
      ops::linear_forward(before, parameter(cell.weight_hh).value, bias_of(cell.bias_hh),
                          hidden_now);
    } else {
      ops::broadcast_rows(bias_of(cell.bias_hh), hidden_now);
    }
    ops::gru_cell_forward(gates_now, hidden_now, before, h_now);
  });
  if (pass != nullptr) {
    auto kept = std::make_unique<GruPass>();
    kept->x = x;
    kept->gates = gates;
    kept->hidden = hidden;
    kept->h = h;
    *pass = std::move(kept);
  }
  return h;
}

Tensor GRU::run_back(std::size_t index, const SequenceRows& rows, const Pass& pass, Tensor dh,
                     bool wants_dx) {
  const Cell& cell = cells()[index];
  const auto& kept = static_cast<const GruPass&>(pass);
  Tensor dgates = Tensor::like(kept.gates);
  Tensor dhidden = Tensor::like(kept.gates);
  for_each_step_back(rows, [&](const Step& step) {
    Tensor dgates_now = step.of(dgates);
    Tensor dhidden_now = step.of(dhidden);
    Tensor dh_before = step.before(dh);
    ops::gru_cell_backward(step.of(kept.gates), step.of(kept.hidden), step.before(kept.h),
                           step.of(dh), dgates_now, dhidden_now, dh_before);
    if (dh_before.defined()) {
      add_input_gradient(dhidden_now, parameter(cell.weight_hh).value, dh_before);
    }
  });
  Tensor none;
  Tensor& dbias = settings().bias ? parameter(cell.bias_ih).grad : none;
  ops::linear_backward_weight(kept.x, dgates, parameter(cell.weight_ih).grad, dbias);
  if (settings().bias) ops::accumulate_row_sums(dhidden, parameter(cell.bias_hh).grad);
  accumulate_state_weight(rows, kept.h, dhidden, parameter(cell.weight_hh).grad);
  if (!wants_dx) return {};
  Tensor dx = Tensor::like(kept.x);
  ops::linear_backward_data(dgates, parameter(cell.weight_ih).value, dx);
  return dx;
}

LayerRow gru_row() {
  LayerRow row;
  row.name = "GRU";
  row.help = "gated recurrent units over [N, C, T]: " + std::string(kRecurrentKeys);
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    const RecurrentSizes sizes = read_recurrent_sizes(options, "GRU");
    return std::make_unique<GRU>(sizes.input, sizes.hidden, read_recurrent_options(options));
  };
  row.samples = recurrent_samples();
  return row;
}

}  // namespace evenkeel::nn
