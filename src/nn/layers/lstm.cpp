#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/layers/checks.h"
#include "nn/layers/sequence_rows.h"
#include "nn/layers/step_norm.h"
#include "nn/layers/step_rows.h"
#include <evenkeel/nn/layers/lstm.h>
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/linear.h>
#include <evenkeel/ops/recurrent.h>

namespace evenkeel::nn {
namespace {

RecurrentNorm settled(RecurrentNorm norm) {
  if (!(norm.eps >= 0) || !std::isfinite(norm.eps)) {
    fail<UsageError>("[LSTM] expected eps of 0 or more, got {}; 1e-5 is usual", norm.eps);
  }
  if (norm.momentum && !(*norm.momentum >= 0 && *norm.momentum <= 1)) {
    fail<UsageError>("[LSTM] expected momentum from 0 to 1, got {}", *norm.momentum);
  }
  expect_at_least("LSTM", "max_steps", norm.max_steps, 1);
  const bool layer = norm.kind == RecurrentNormKind::layer;
  if (!norm.gamma) norm.gamma = layer ? 1.0 : 0.1;
  if (!std::isfinite(*norm.gamma)) {
    fail<UsageError>("[LSTM] expected a finite first value of gamma, got {}", *norm.gamma);
  }
  if (norm.kind == RecurrentNormKind::none) norm.cell = false;
  if (!norm.cell) norm.cell = layer;
  return norm;
}

RecurrentOptions shared_part(const LstmOptions& options) {
  return {options.num_layers, options.bidirectional, options.bias, options.dropout};
}

}  // namespace

struct LSTM::LstmPass : Pass {
  Tensor x;           // [rows, input]
  Tensor gates;       // [rows, 4H], after their activations
  Tensor c, tanh_c;   // [rows, H]; tanh of c or of what it was normalized to
  Tensor h;           // [rows, H]
  Tensor a_ih, a_hh;  // [rows, 4H], before they are normalized; step 0 of a_hh is unused
  /// Of one normalization, for each step.
  using Kept = std::vector<StepNorm::Saved>;
  Kept ih, hh, cell;

  LstmPass(const Tensor& input, std::int64_t units, std::size_t steps, bool normalized)
      : x(input),
        gates(Tensor::empty({input.dim(0), 4 * units}, input.dtype())),
        c(Tensor::empty({input.dim(0), units}, input.dtype())),
        tanh_c(Tensor::like(c)),
        h(Tensor::like(c)) {
    if (!normalized) return;
    a_ih = Tensor::like(gates);
    a_hh = Tensor::like(gates);
    for (Kept* const kept : {&ih, &hh, &cell}) kept->resize(steps);
  }
};

/// A cell at work, forward or back.
class LSTM::Work {
 public:
  Work(LSTM& layer, std::size_t index)
      : layer_(layer), cell_(layer.cells()[index]), normalized_(!layer.norms_.empty()) {
    if (!normalized_) return;
    const CellNorms& ids = layer.norms_[index];
    ih_ = make(ids.ih);
    hh_ = make(ids.hh);
    if (layer.normalizes_cell()) c_ = make(ids.c);
  }

  void forward_step(const Step& step, LstmPass& pass, bool keep) const;
  /// dh and dc hold what later steps gave; those of the step before are added to.
  struct Gradients {
    Tensor gates;  // of W·x (+ W·h where nothing is normalized)
    Tensor a_hh;   // of W·h
    Tensor h, c;
  };
  void backward_step(const Step& step, const LstmPass& pass, const Gradients& gradients) const;

 private:
  std::unique_ptr<StepNorm> make(const NormIds& ids) const;
  const Tensor& weight_hh() const { return layer_.parameter(cell_.weight_hh).value; }
  void add_state_part(const Step& step, LstmPass& pass, bool keep, Tensor& gates) const;

  LSTM& layer_;
  const Cell& cell_;
  bool normalized_;
  std::unique_ptr<StepNorm> ih_, hh_, c_;
};

std::unique_ptr<StepNorm> LSTM::Work::make(const NormIds& ids) const {
  StepAffine affine{layer_.parameter(ids.gamma).value, {}, layer_.parameter(ids.gamma).grad, {}};
  if (ids.has_beta) {
    affine.beta = layer_.parameter(ids.beta).value;
    affine.dbeta = layer_.parameter(ids.beta).grad;
  }
  const RecurrentNorm& norm = layer_.norm_;
  if (norm.kind == RecurrentNormKind::layer) return make_step_layer_norm(affine, norm.eps);
  const StepStatistics statistics{layer_.buffer(ids.mean), layer_.buffer(ids.var),
                                  layer_.buffer(ids.batches)};
  return make_step_batch_norm(affine, statistics, {norm.eps, norm.momentum, layer_.training()});
}

void LSTM::Work::forward_step(const Step& step, LstmPass& pass, bool keep) const {
  const auto t = static_cast<std::size_t>(step.number);
  Tensor gates = step.of(pass.gates);
  if (normalized_) {
    ih_->forward(step.of(pass.a_ih), step.number, gates, keep ? &pass.ih[t] : nullptr);
  }
  add_state_part(step, pass, keep, gates);
  Tensor c = step.of(pass.c);
  ops::lstm_cell_forward(gates, step.before(pass.c), c);
  Tensor shown = c;
  if (c_) {
    shown = Tensor::like(c);
    c_->forward(c, step.number, shown, keep ? &pass.cell[t] : nullptr);
  }
  Tensor tanh_c = step.of(pass.tanh_c);
  Tensor h = step.of(pass.h);
  ops::lstm_output_forward(gates, shown, tanh_c, h);
}

void LSTM::Work::add_state_part(const Step& step, LstmPass& pass, bool keep, Tensor& gates) const {
  const Tensor before = step.before(pass.h);
  const Tensor bias = layer_.bias_of(cell_.bias_hh);
  Tensor part = Tensor::like(gates);
  if (!before.defined()) {
    ops::broadcast_rows(bias, part);
  } else if (normalized_) {
    Tensor a = step.of(pass.a_hh);
    ops::linear_forward(before, weight_hh(), {}, a);
    hh_->forward(a, step.number, part,
                 keep ? &pass.hh[static_cast<std::size_t>(step.number)] : nullptr);
  } else {
    ops::linear_forward(before, weight_hh(), bias, part);
  }
  ops::accumulate(part, gates);
}

void LSTM::Work::backward_step(const Step& step, const LstmPass& pass,
                               const Gradients& gradients) const {
  const auto t = static_cast<std::size_t>(step.number);
  const Tensor gates = step.of(pass.gates);
  Tensor dgates = step.of(gradients.gates);
  Tensor dc = step.of(gradients.c);
  Tensor dshown = Tensor::like(dc);
  ops::lstm_output_backward(gates, step.of(pass.tanh_c), step.of(gradients.h), dgates, dshown);
  if (c_) c_->backward(step.of(pass.c), dshown, pass.cell[t], dshown);
  ops::accumulate(dshown, dc);
  Tensor dc_before = step.before(gradients.c);
  ops::lstm_cell_backward(gates, step.before(pass.c), dc, dgates, dc_before);
  Tensor dh_before = step.before(gradients.h);
  if (dh_before.defined()) {
    Tensor da = step.of(gradients.a_hh);
    if (normalized_) hh_->backward(step.of(pass.a_hh), dgates, pass.hh[t], da);
    add_input_gradient(da, weight_hh(), dh_before);
  } else if (normalized_ && layer_.settings().bias) {
    ops::accumulate_row_sums(dgates, layer_.parameter(cell_.bias_hh).grad);
  }
  if (normalized_) ih_->backward(step.of(pass.a_ih), dgates, pass.ih[t], dgates);
}

LSTM::LSTM(std::int64_t input_size, std::int64_t hidden_size, LstmOptions options)
    : Cloneable("LSTM", input_size, hidden_size, 4, shared_part(options)),
      norm_(settled(options.norm)) {
  if (norm_.kind != RecurrentNormKind::none) register_norms();
}

void LSTM::register_norms() {
  for (const Cell& cell : cells()) {
    CellNorms ids;
    ids.ih = register_norm("ih" + cell.suffix, 4 * hidden_size());
    ids.hh = register_norm("hh" + cell.suffix, 4 * hidden_size());
    ids.ih.has_beta = ids.hh.has_beta = settings().bias;
    ids.ih.beta = cell.bias_ih;
    ids.hh.beta = cell.bias_hh;
    if (normalizes_cell()) {
      ids.c = register_norm("c" + cell.suffix, hidden_size());
      ids.c.has_beta = settings().bias;
      if (ids.c.has_beta) {
        ids.c.beta =
            register_parameter("beta_c" + cell.suffix, {hidden_size()}, ParameterKind::norm_shift);
      }
    }
    norms_.push_back(ids);
  }
  for (const CellNorms& ids : norms_) {
    for (const NormIds* one : {&ids.ih, &ids.hh, &ids.c}) {
      if (one != &ids.c || normalizes_cell()) reset_norm(*one);
    }
  }
}

LSTM::NormIds LSTM::register_norm(const std::string& name, std::int64_t channels) {
  NormIds ids;
  ids.gamma = register_parameter("gamma_" + name, {channels}, ParameterKind::norm_scale);
  if (norm_.kind == RecurrentNormKind::batch) {
    const Shape shape{norm_.max_steps, channels};
    ids.mean = register_buffer("running_mean_" + name, Tensor::zeros(shape, DType::f64));
    ids.var = register_buffer("running_var_" + name, Tensor::full(shape, 1, DType::f64));
    ids.batches = register_buffer("num_batches_tracked_" + name,
                                  Tensor::zeros({norm_.max_steps}, DType::i64));
  }
  return ids;
}

void LSTM::reset_norm(const NormIds& ids) {
  parameter(ids.gamma).value.fill(*norm_.gamma);
  if (norm_.kind != RecurrentNormKind::batch) return;
  buffer(ids.mean).fill(0);
  buffer(ids.var).fill(1);
  buffer(ids.batches).fill(0);
}

void LSTM::reset_parameters(Random& random) {
  Recurrent::reset_parameters(random);
  for (const CellNorms& ids : norms_) {
    reset_norm(ids.ih);
    reset_norm(ids.hh);
    if (!normalizes_cell()) continue;
    reset_norm(ids.c);
    if (ids.c.has_beta) parameter(ids.c.beta).value.fill(0);
  }
}

std::string LSTM::mode_note() const {
  if (norm_.kind == RecurrentNormKind::none) return {};
  const std::string kind = norm_.kind == RecurrentNormKind::layer ? "layer" : "batch";
  const std::string note =
      kind + (normalizes_cell() ? " norm of gates and cell" : " norm of gates");
  if (norm_.kind == RecurrentNormKind::layer) return note;
  const auto batches = buffer(norms_.front().ih.batches).span<std::int64_t>();
  return fmt::format("{}, statistics of {} of {} steps", note,
                     std::ranges::count_if(batches, [](std::int64_t n) { return n > 0; }),
                     norm_.max_steps);
}

void LSTM::check_run(const SequenceRows& rows) const {
  if (norm_.kind != RecurrentNormKind::batch || rows.spans().empty()) return;
  const auto steps = static_cast<std::int64_t>(rows.spans().size());
  if (!norm_.reuse && steps > norm_.max_steps) {
    fail<ShapeError>(
        "[{}] expected sequences of at most {} steps, for which it keeps statistics, got one of "
        "{}; raise max_steps, or set reuse = true to let the last statistics serve later steps",
        label(), norm_.max_steps, steps);
  }
  if (training() && rows.spans().front().running < 2) {
    fail<ShapeError>(
        "[{}] expected two sequences or more when training with batch norm, got {}; use eval(), a "
        "larger batch, or drop_last",
        label(), rows.spans().front().running);
  }
}

Tensor LSTM::run(std::size_t index, const SequenceRows& rows, const Tensor& x,
                 std::unique_ptr<Pass>* pass) {
  const Cell& cell = cells()[index];
  const bool normalized = !norms_.empty();
  auto kept = std::make_unique<LstmPass>(x, hidden_size(), rows.spans().size(), normalized);
  const Tensor& weight = parameter(cell.weight_ih).value;
  if (normalized) {
    ops::linear_forward(x, weight, {}, kept->a_ih);
  } else {
    ops::linear_forward(x, weight, bias_of(cell.bias_ih), kept->gates);
  }
  const Work work(*this, index);
  for_each_step(rows, [&](const Step& step) { work.forward_step(step, *kept, pass != nullptr); });
  Tensor h = kept->h;
  if (pass != nullptr) *pass = std::move(kept);
  return h;
}

Tensor LSTM::run_back(std::size_t index, const SequenceRows& rows, const Pass& pass, Tensor dh,
                      bool wants_dx) {
  const Cell& cell = cells()[index];
  const bool normalized = !norms_.empty();
  const auto& kept = static_cast<const LstmPass&>(pass);
  const Tensor dgates = Tensor::like(kept.gates);
  const Work::Gradients gradients{dgates, normalized ? Tensor::like(dgates) : dgates, std::move(dh),
                                  Tensor::zeros(kept.c.shape(), kept.c.dtype())};
  const Work work(*this, index);
  for_each_step_back(rows, [&](const Step& step) { work.backward_step(step, kept, gradients); });
  Tensor none;
  const bool plain_bias = settings().bias && !normalized;
  ops::linear_backward_weight(kept.x, dgates, parameter(cell.weight_ih).grad,
                              plain_bias ? parameter(cell.bias_ih).grad : none);
  if (plain_bias) ops::accumulate_row_sums(dgates, parameter(cell.bias_hh).grad);
  accumulate_state_weight(rows, kept.h, gradients.a_hh, parameter(cell.weight_hh).grad);
  if (!wants_dx) return {};
  Tensor dx = Tensor::like(kept.x);
  ops::linear_backward_data(dgates, parameter(cell.weight_ih).value, dx);
  return dx;
}

}  // namespace evenkeel::nn
