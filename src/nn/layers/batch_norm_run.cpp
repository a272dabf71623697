// Forward and backward of batch norm: over all samples or virtual batches of them, over everything
// or the valid steps of padded sequences, with the batch's statistics, running or corrected ones.
#include <algorithm>
#include <utility>

#include "nn/layers/checks.h"
#include "nn/layers/recover.h"
#include "nn/layers/renorm.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/kept.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/ops/activation.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

/// Memory from the caching allocator, as the bytes that the operators ask for.
struct Bytes {
  std::shared_ptr<std::byte> owner;
  std::span<std::byte> span;

  Bytes() = default;
  explicit Bytes(std::size_t size) : owner(allocate(size)), span(owner.get(), size) {}

  std::span<double> doubles() const {
    return {reinterpret_cast<double*>(span.data()), span.size() / sizeof(double)};
  }
};

/// Samples [begin, end) of a view.
template <class View>
View slice(View view, std::int64_t begin, std::int64_t end) {
  const std::int64_t bytes =
      begin * view.c * view.s * static_cast<std::int64_t>(size_of(view.dtype));
  if constexpr (std::is_same_v<View, norm::ChannelView>) {
    view.data = static_cast<std::byte*>(view.data) + bytes;
  } else {
    view.data = static_cast<const std::byte*>(view.data) + bytes;
  }
  view.n = end - begin;
  return view;
}

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

ops::ActivationKind kind_of(norm::Activation activation) {
  return activation == norm::Activation::relu ? ops::ActivationKind::relu
                                              : ops::ActivationKind::leaky_relu;
}

}  // namespace

/// What backward needs.
struct BatchNorm::Saved {
  Shape shape;  ///< of the input
  Layout layout;
  Tensor x;  ///< what was normalized: the input, or its valid steps as rows; y where recovery is
  std::unique_ptr<const SequenceRows> rows;
  Tensor y;  ///< of an activation behind valid steps
  Statistics statistics;
  bool added;
  norm::Activation activation;
  double slope;
  std::vector<std::int64_t> cuts;            ///< of x into virtual batches
  Bytes memory;                              ///< of their states, and corrections
  std::unique_ptr<const Recovery> recovery;  ///< where y was written over x

  /// What follows in the normalizing pass itself.
  norm::Epilogue epilogue() const {
    if (rows != nullptr) return {};
    return {activation, slope, std::nullopt};
  }

  /// What the states are bound for: y has the signs that a mask would.
  norm::Epilogue state_epilogue() const {
    return recovery != nullptr ? norm::Epilogue{} : epilogue();
  }

  std::size_t correction_bytes() const {
    return statistics == Statistics::renormalized
               ? 2 * static_cast<std::size_t>(x.dim(1)) * sizeof(double)
               : 0;
  }
  /// Bytes of the states of all parts, and of the largest workspace of one.
  std::pair<std::size_t, std::size_t> sizes() const {
    std::size_t memory_bytes = 0;
    std::size_t workspace_bytes = 0;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto in = slice(norm::view(x), cuts[i], cuts[i + 1]);
      memory_bytes += norm::state_size(in, state_epilogue()) + correction_bytes();
      workspace_bytes = std::max(workspace_bytes, norm::workspace_size(in));
    }
    return {memory_bytes, workspace_bytes};
  }

  /// Values per channel in the smallest part.
  std::int64_t least_values() const {
    std::int64_t least = x.dim(0);
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      least = std::min(least, cuts[i + 1] - cuts[i]);
    }
    return least * norm::view(x).s;
  }

  /// The largest of size(part) over all parts.
  template <class Size>
  std::size_t most(Size&& size) const {
    std::size_t result = 0;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      result = std::max(result, size(slice(norm::view(x), cuts[i], cuts[i + 1])));
    }
    return result;
  }

  /// f(begin, end, state, correction) for each part.
  template <class F>
  void for_each_part(F&& f) const {
    std::span<std::byte> rest = memory.span;
    const auto channels = static_cast<std::size_t>(x.dim(1));
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto in = slice(norm::view(x), cuts[i], cuts[i + 1]);
      const std::size_t bytes = norm::state_size(in, state_epilogue());
      norm::BatchNormState state = norm::bind_state(rest.first(bytes), in, state_epilogue());
      rest = rest.subspan(bytes);
      Correction correction;
      if (correction_bytes() > 0) {
        auto* const values = reinterpret_cast<double*>(rest.data());
        correction = {{values, channels}, {values + channels, channels}};
        rest = rest.subspan(correction_bytes());
      }
      f(cuts[i], cuts[i + 1], state, correction);
    }
  }
};

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

Tensor BatchNorm::backward_in_place(Tensor dy) {
  const std::shared_ptr<const Saved> saved = saved_.top(*this);
  Tensor gradient = expect_gradient(*this, dy, saved->shape, saved->x.dtype(), saved->layout);
  dy = Tensor();
  Tensor dx = saved->rows != nullptr       ? backward_valid(*saved, gradient)
              : saved->recovery != nullptr ? backward_recovered(*saved, std::move(gradient))
                                           : backward_all(*saved, std::move(gradient));
  saved_.pop();
  return dx;
}

Tensor BatchNorm::backward_all(const Saved& saved, Tensor dy) {
  Tensor dx = dy.unique() ? dy : Tensor::like(saved.x);
  Tensor addend_gradient;
  if (saved.added) addend_gradient = Tensor::like(saved.x);
  run_back(saved, dy, dx, addend_gradient);
  addend_gradient_ = std::move(addend_gradient);
  return dx;
}

/// Of y, which nobody needs any more once there is dx, unless others have it too.
Tensor BatchNorm::backward_recovered(const Saved& saved, Tensor dy) {
  const bool own = saved.x.unique();
  const norm::Epilogue epilogue = saved.epilogue();
  const bool in_place = dy.unique();
  Tensor dx = in_place ? dy : own ? saved.x : Tensor::like(saved.x);
  Tensor z = own ? saved.x : dx;
  if (in_place && !own && saved.recovery->rewrites(epilogue)) z = Tensor::like(saved.x);
  const Bytes scratch(saved.most(
      [&](const norm::ConstChannelView& in) { return Recovery::scratch_size(in, epilogue); }));
  const Bytes workspace(saved.sizes().second);
  Recovery::Part part;
  norm::ConstVectorView gamma;
  if (settings_.affine) {
    gamma = affine().gamma;
    part.dgamma = norm::VectorView(parameter(weight_).grad);
    part.dbeta = norm::VectorView(parameter(bias_).grad);
  }
  part.constant = saved.statistics == Statistics::running;
  saved.for_each_part([&](std::int64_t begin, std::int64_t end, const norm::BatchNormState& state,
                          const Correction& /*none*/) {
    part.begin = begin;
    part.y = slice(norm::view(saved.x), begin, end);
    part.z = slice(norm::view(z), begin, end);
    part.dy = slice(norm::view(std::as_const(dy)), begin, end);
    part.dx = slice(norm::view(dx), begin, end);
    part.mean = state.mean;
    part.var = state.var;
    part.inv_std = state.inv_std;
    saved.recovery->backward(part, gamma, epilogue, scratch.span, workspace.span);
  });
  return dx;
}

Tensor BatchNorm::backward_valid(const Saved& saved, const Tensor& dy) {
  Tensor gradient = dy;
  if (saved.activation != norm::Activation::none) {
    gradient = Tensor::like(dy);
    ops::activation_backward(kind_of(saved.activation), saved.y, dy, gradient, saved.slope);
  }
  Tensor packed = saved.rows->gather(gradient);
  Tensor dx = Tensor::like(dy);
  Tensor none;
  run_back(saved, packed, packed, none);
  saved.rows->scatter_into(packed, dx);
  if (saved.added) addend_gradient_ = std::move(gradient);
  return dx;
}

/// Overwrites dx, which may be dy, and the gradient of the addend where there is room for it.
void BatchNorm::run_back(const Saved& saved, const Tensor& dy, Tensor& dx,
                         Tensor& addend_gradient) {
  const Bytes workspace(saved.sizes().second);
  Bytes scratch;
  if (saved.statistics == Statistics::renormalized) {
    scratch = Bytes(3 * static_cast<std::size_t>(channels_) * sizeof(double));
  }
  std::optional<norm::ChannelView> dadd_all;
  if (addend_gradient.defined()) dadd_all = norm::view(addend_gradient);
  norm::VectorView dgamma, dbeta;
  if (settings_.affine) {
    dgamma = norm::VectorView(parameter(weight_).grad);
    dbeta = norm::VectorView(parameter(bias_).grad);
  }
  const norm::Epilogue epilogue = saved.epilogue();
  saved.for_each_part([&](std::int64_t begin, std::int64_t end, norm::BatchNormState& state,
                          const Correction& correction) {
    const auto in = slice(norm::view(saved.x), begin, end);
    const auto upstream = slice(norm::view(dy), begin, end);
    const auto out = slice(norm::view(dx), begin, end);
    std::optional<norm::ChannelView> dadd;
    if (dadd_all) dadd = slice(*dadd_all, begin, end);
    if (saved.statistics == Statistics::renormalized) {
      renorm_backward(in, upstream, affine(), epilogue, out, dgamma, dbeta, dadd,
                      {state, correction, scratch.doubles(), workspace.span});
      return;
    }
    const auto back =
        saved.statistics == Statistics::running ? norm::backward_infer : norm::backward_train;
    back(in, upstream, affine(), state, epilogue, out, dgamma, dbeta, dadd, workspace.span);
  });
}

}  // namespace evenkeel::nn
