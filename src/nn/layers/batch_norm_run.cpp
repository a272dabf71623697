// Forward of batch norm: over all samples or virtual batches of them, over everything or the valid
// steps of padded sequences, with the batch's statistics, running or corrected ones, into memory of
// its own or over its input. batch_norm_back.cpp takes it back.
#include <algorithm>
#include <utility>

#include "nn/layers/batch_norm_saved.h"
#include "nn/layers/checks.h"
#include <evenkeel/nn/kept.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

/// Where virtual batches of `size` of n samples begin, and n. values(i) counts the values per
/// channel before sample i; there are two or more in all, or none.
template <class Values>
std::vector<std::int64_t> cut(std::int64_t n, std::int64_t size, Values&& values) {
  std::vector<std::int64_t> cuts{0};
  for (std::int64_t end = size; end < n; end += size) {
    if (values(end) - values(cuts.back()) >= 2) cuts.push_back(end);
  }
  if (cuts.size() > 1 && values(n) - values(cuts.back()) < 2) cuts.pop_back();
  cuts.push_back(n);
  return cuts;
}

}  // namespace

/// One forward under way. Everything that it needs is there before it changes anything.
struct BatchNorm::Pass {
  std::shared_ptr<Saved> saved = std::make_shared<Saved>();
  Tensor y;  ///< like saved->x
  Tensor addend;
  Bytes workspace, scratch;
  Bytes mask;               ///< of one part, where nobody keeps it
  bool keeps_state = true;  ///< whether the states are wanted by somebody
  bool over_x = false;      ///< y takes x's memory
};

/// y once more, from what backward needs anyway.
class BatchNorm::Again final : public Recomputation {
 public:
  Again(std::shared_ptr<const Saved> saved, const BatchNorm& layer, const Tensor& addend)
      : saved_(std::move(saved)), addend_(addend) {
    if (!layer.settings_.affine) return;
    gamma_ = layer.parameter(layer.weight_).value;
    beta_ = layer.parameter(layer.bias_).value;
  }

 private:
  Tensor compute() const override {
    const Tensor addend = addend_.tensor();
    const Bytes workspace(saved_->sizes().second);
    Tensor y = Tensor::like(saved_->x);
    norm::Affine affine;
    if (gamma_.defined()) affine = {norm::ConstVectorView(gamma_), norm::ConstVectorView(beta_)};
    saved_->for_each_part([&](std::int64_t begin, std::int64_t end, norm::BatchNormState& state,
                              const Correction& /*none*/) {
      norm::Epilogue epilogue = saved_->epilogue();
      if (addend.defined()) epilogue.add = slice(norm::view(addend), begin, end);
      // It writes the mask of the activation a second time, with the same bits.
      norm::normalize(slice(norm::view(saved_->x), begin, end), state, affine, epilogue,
                      slice(norm::view(y), begin, end), workspace.span);
    });
    return y;
  }

  std::shared_ptr<const Saved> saved_;
  Tensor gamma_, beta_;
  Kept addend_;
};

void BatchNorm::check_addend(const Tensor& x, const Tensor& addend) const {
  if (!addend.defined() || (addend.shape() == x.shape() && addend.dtype() == x.dtype())) return;
  fail<ShapeError>("[{}] expected a summand {} of {} like x, got {} of {}", label(),
                   x.shape().str(), evenkeel::name_of(x.dtype()), addend.shape().str(),
                   evenkeel::name_of(addend.dtype()));
}

/// The valid steps of x, or null where there is no padding.
std::unique_ptr<const SequenceRows> BatchNorm::valid_rows(const Tensor& x) const {
  if (x.rank() != 3 || (!mask_.defined() && !lengths().given())) return nullptr;
  auto rows = std::make_unique<const SequenceRows>(
      mask_.defined()
          ? SequenceRows::of_mask(*this, mask_, x.shape())
          : SequenceRows(valid_steps(*this, x.shape()), x.dim(2), RowOrder::by_sequence));
  if (rows->count() == x.dim(0) * x.dim(2)) return nullptr;
  if (!settings_.affine) expect_float(*this, x);
  return rows;
}

/// For an input with so many values per channel. Throws where they are too few.
BatchNorm::Statistics BatchNorm::statistics_for(const Shape& input, std::int64_t values) const {
  if (training_ ? statistics_held() : settings_.track_running_stats) return Statistics::running;
  const bool one = values == 1;
  const bool ghosts = training_ && settings_.ghost_size > 0 && values > 0;
  const bool short_of_ghost = ghosts && input[0] < settings_.ghost_size;
  const bool single_ghosts = ghosts && settings_.ghost_size == 1 && values == input[0];
  const bool small = one || short_of_ghost || single_ghosts;
  if (small && training_ && settings_.small_batch == SmallBatch::running_stats) {
    return Statistics::running;
  }
  if (one && !training_) {
    fail<ShapeError>(
        "[{}] expected more than one value per channel where there are no running statistics, got "
        "input {}; use a larger batch, or track_running_stats",
        label(), input.str());
  }
  if (one) {
    fail<ShapeError>(
        "[{}] expected more than one value per channel when training, got input {}; use eval(), a "
        "larger batch, or drop_last",
        label(), input.str());
  }
  if (short_of_ghost) {
    fail<ShapeError>(
        "[{}] expected at least the {} samples of ghost_size, got input {}; use eval(), a larger "
        "batch, drop_last, or a smaller ghost_size",
        label(), settings_.ghost_size, input.str());
  }
  if (single_ghosts) {
    fail<ShapeError>(
        "[{}] expected more than one value per channel in each virtual batch, got ghost_size 1 and "
        "input {}; make ghost_size 2 or more",
        label(), input.str());
  }
  return renorm_ && training_ && values > 0 ? Statistics::renormalized : Statistics::batch;
}

std::vector<std::int64_t> BatchNorm::cuts_of(const Pass& pass, const SequenceRows* rows) const {
  const Tensor& x = pass.saved->x;
  const std::int64_t size = settings_.ghost_size;
  const bool ghosts = training_ && size > 0 && pass.saved->statistics != Statistics::running;
  if (!ghosts) return {0, x.dim(0)};
  if (rows == nullptr) {
    const std::int64_t per_sample = channel_dims(x.shape(), label()).s;
    return cut(x.dim(0), size, [per_sample](std::int64_t i) { return i * per_sample; });
  }
  const auto& spans = rows->spans();
  const auto samples = static_cast<std::int64_t>(spans.size());
  const auto first_row = [&](std::int64_t i) {
    return i == samples ? rows->count() : spans[static_cast<std::size_t>(i)].begin;
  };
  std::vector<std::int64_t> cuts = cut(samples, size, first_row);
  for (std::int64_t& at : cuts) at = first_row(at);
  return cuts;
}

Tensor BatchNorm::forward_in_place(Tensor x) {
  // Whatever happens, the addend is of this call alone.
  const Tensor addend = std::exchange(addend_, {}).to(x.layout());
  check(x.shape());
  if (settings_.affine) expect_dtype(*this, x, parameter(weight_));
  check_addend(x, addend);
  auto rows = valid_rows(x);
  const std::int64_t values = rows != nullptr ? rows->count() : x.numel() / channels_;
  const Statistics statistics = statistics_for(x.shape(), values);
  return rows != nullptr ? forward_valid(x, addend, statistics, std::move(rows))
                         : forward_all(std::move(x), addend, statistics);
}

/// Whether layers behind may have the result of this forward computed again.
bool BatchNorm::gives_up(const Pass& pass) const {
  const Saved& saved = *pass.saved;
  if (!recording() || saved.statistics == Statistics::renormalized || saved.x.numel() == 0 ||
      saved.recovery != nullptr) {
    return false;
  }
  if (memory_ == Memory::normal) return !saved.added && saved.x.bytes() >= kLargeTensor;
  return memory_ == Memory::save;
}

/// Whether y may take the memory of x, where that is this call's own.
bool BatchNorm::writes_over(const Pass& pass) const {
  const Saved& saved = *pass.saved;
  const bool leaky = saved.activation == norm::Activation::leaky_relu;
  const bool asked = settings_.in_place || (memory_ == Memory::save && leaky);
  if (!asked || saved.statistics == Statistics::renormalized || saved.x.numel() == 0) return false;
  if (!recording()) return true;
  return !saved.added && saved.x.dtype() != DType::bf16 &&
         invertible(saved.activation, saved.slope) && Recovery::pays(channels_, affine()) &&
         (saved.statistics == Statistics::running || saved.least_values() >= kLeastValues);
}

Tensor BatchNorm::forward_all(Tensor x, const Tensor& addend, Statistics statistics) {
  Pass pass;
  const bool own = x.unique();
  *pass.saved = {x.shape(),        x.layout(),  x,      nullptr, {}, statistics,
                 addend.defined(), activation_, slope_, {},      {}, nullptr};
  pass.saved->cuts = cuts_of(pass, nullptr);
  pass.over_x = own && writes_over(pass);
  if (pass.over_x) pass.saved->x.set_recomputation(nullptr);
  if (pass.over_x && recording()) {
    pass.saved->recovery = std::make_unique<const Recovery>(x, affine());
  }
  pass.addend = addend;
  prepare(pass);
  if (recording()) saved_.make_room();
  std::shared_ptr<const Again> again;
  if (gives_up(pass)) {
    again = std::make_shared<const Again>(pass.saved, *this, addend);
  }
  run(pass);
  pass.y.set_recomputation(std::move(again));
  if (recording()) saved_.push(std::move(pass.saved));
  return pass.y;
}

/// The valid steps are normalized as rows; what is fused behind sees the zeros of the padding as
/// separate layers would.
Tensor BatchNorm::forward_valid(const Tensor& x, const Tensor& addend, Statistics statistics,
                                std::unique_ptr<const SequenceRows> rows) {
  Pass pass;
  Tensor packed = rows->gather(x);
  *pass.saved = {x.shape(),  x.layout(),       std::move(packed), nullptr, {},
                 statistics, addend.defined(), activation_,       slope_,  {},
                 {},         nullptr};
  pass.saved->cuts = cuts_of(pass, rows.get());
  pass.saved->rows = std::move(rows);
  prepare(pass);
  Tensor y = Tensor::like(x);
  if (recording()) saved_.make_room();
  run(pass);
  pass.saved->rows->scatter_into(pass.y, y);
  if (addend.defined()) ops::add(y, addend, y);
  if (activation_ != norm::Activation::none) {
    ops::activation_forward(kind_of(activation_), y, y, slope_);
    pass.saved->y = y;
  }
  if (recording()) saved_.push(std::move(pass.saved));
  return y;
}

void BatchNorm::prepare(Pass& pass) const {
  Saved& saved = *pass.saved;
  const auto [memory_bytes, workspace_bytes] = saved.sizes();
  pass.keeps_state = saved.statistics != Statistics::running || recording();
  pass.y = pass.over_x ? saved.x : Tensor::like(saved.x);
  if (saved.recovery != nullptr) {
    pass.mask = Bytes(saved.most(
        [&](const norm::ConstChannelView& in) { return norm::state_size(in, saved.epilogue()); }));
  }
  pass.workspace = Bytes(workspace_bytes);
  if (pass.keeps_state) saved.memory = Bytes(memory_bytes);
  if (saved.statistics == Statistics::renormalized) {
    pass.scratch = Bytes(3 * static_cast<std::size_t>(channels_) * sizeof(double));
  }
}

void BatchNorm::run(Pass& pass) {
  const Saved& saved = *pass.saved;
  if (observer_.call) observer_.call(saved.x);
  norm::Epilogue epilogue = saved.epilogue();
  if (pass.addend.defined()) epilogue.add = norm::view(std::as_const(pass.addend));
  const std::span<std::byte> workspace = pass.workspace.span;
  const norm::ConstChannelView x = norm::view(saved.x);
  const norm::ChannelView y = norm::view(pass.y);
  const auto bind_mask = [&](norm::BatchNormState& state, const norm::ConstChannelView& in) {
    if (saved.recovery == nullptr) return;
    state.mask = norm::bind_state(pass.mask.span, in, saved.epilogue()).mask;
  };
  if (saved.statistics == Statistics::running) {
    const auto mean = std::as_const(*this).buffer(mean_).span<double>();
    const auto var = std::as_const(*this).buffer(var_).span<double>();
    norm::BatchNormState state;
    if (pass.keeps_state) {
      state = norm::bind_state(saved.memory.span, x, saved.state_epilogue());
      bind_mask(state, x);
    }
    norm::forward_infer(x, affine(), settings_.eps, mean, var, epilogue, y,
                        pass.keeps_state ? &state : nullptr, workspace);
    return;
  }
  const bool update = settings_.track_running_stats && training_;
  norm::RunningStats running;
  if (update) running = running_stats();
  const norm::Epilogue all = epilogue;
  saved.for_each_part([&](std::int64_t begin, std::int64_t end, norm::BatchNormState& state,
                          const Correction& correction) {
    const auto in = slice(x, begin, end);
    const auto out = slice(y, begin, end);
    if (all.add) epilogue.add = slice(*all.add, begin, end);
    bind_mask(state, in);
    bool folded = true;
    if (saved.statistics == Statistics::renormalized) {
      RenormMemory memory{state, correction, pass.scratch.doubles(), workspace};
      folded = renorm_forward(in, affine(), settings_.eps, limits_at(*renorm_, *running.batches),
                              running, epilogue, out, memory);
    } else {
      folded = norm::forward_train(in, affine(), settings_.eps, update ? &running : nullptr,
                                   epilogue, out, state, workspace);
    }
    if (!folded) ++refused_;
  });
}

}  // namespace evenkeel::nn
