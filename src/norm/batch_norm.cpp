// The operators: check, cut, and spread units of work over threads.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "norm/channel_numbers.h"
#include "norm/checks.h"
#include "norm/implementation.h"
#include "norm/statistics.h"
#include "norm/units.h"
#include <evenkeel/core/error.h>
#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::norm {
namespace {

void collect_group(const Implementation& run, const CollectJob& job, const Cut& cut,
                   Scratch& scratch, std::int64_t c0, std::int64_t c1, std::int64_t group) {
  const auto base = static_cast<std::size_t>(group * cut.channels);
  run.collect(job, cut, c0, c1, group, &scratch.partial_a[base], &scratch.partial_b[base],
              &scratch.partial_c[base]);
}

/// All groups of all channels.
void collect_everything(const Implementation& run, const ConstChannelView& x, const Cut& cut,
                        Scratch& scratch) {
  const CollectJob job{x, scratch.centre};
  run.find_centres(job, cut, 0, cut.channels);
  for_each_group(cut, [&](std::int64_t c0, std::int64_t c1, std::int64_t group) {
    collect_group(run, job, cut, scratch, c0, c1, group);
  });
}

GradientJob gradient_job(const ConstChannelView& x, const ConstChannelView& dy,
                         const BatchNormState& state, const Affine& affine,
                         const Epilogue& epilogue, const Scratch& scratch) {
  return {x,
          dy,
          state,
          affine,
          epilogue,
          scratch.coefficients,
          scratch.a,
          scratch.b,
          scratch.a_hi,
          scratch.a_lo,
          scratch.b_f32,
          {},
          nullptr,
          false,
          {}};
}

std::int64_t bytes_of(const ConstChannelView& x) {
  return x.numel() * static_cast<std::int64_t>(size_of(x.dtype));
}

bool output_streams(const ConstChannelView& x, const Cut& cut, const Epilogue& epilogue,
                    const ChannelView& y) {
  return cut.rows_fill_lines() &&
         streams(bytes_of(x), y.data, {x.data, epilogue.add ? epilogue.add->data : nullptr});
}

bool gradients_stream(const ConstChannelView& x, const Cut& cut, const ConstChannelView& dy,
                      const ChannelView& dx, const std::optional<ChannelView>& dadd) {
  return cut.rows_fill_lines() && streams(bytes_of(x), dx.data, {x.data, dy.data}) &&
         (!dadd || streams(bytes_of(x), dadd->data, {x.data, dy.data}));
}

void check_gradient(const ConstChannelView& x, const ConstChannelView& dy, const Affine& affine,
                    const BatchNormState& state, const Epilogue& epilogue) {
  check_input(x);
  check_same(x, dy, "dy");
  check_affine(x, affine);
  check_state(x, state, epilogue);
}

/// y may be what it is made of.
void check_output(const ConstChannelView& x, const Epilogue& epilogue, const ChannelView& y) {
  check_same(x, y, "y");
  check_epilogue(x, epilogue);
  check_overlap({y, "y"}, {{x, "x"}});
  if (epilogue.add) check_overlap({y, "y"}, {{*epilogue.add, "the added tensor"}});
}

/// dx may be x or dy. dadd is written first, so that it may be dy alone.
void check_outputs(const ConstChannelView& x, const ConstChannelView& dy, const ChannelView& dx,
                   const std::optional<ChannelView>& dadd) {
  check_same(x, dx, "dx");
  check_overlap({dx, "dx"}, {{x, "x"}, {dy, "dy"}});
  if (!dadd) return;
  check_same(x, *dadd, "dadd");
  check_overlap({*dadd, "dadd"}, {{dy, "dy"}}, {{x, "x"}, {dx, "dx"}});
}

void reduce_group(const Implementation& run, const GradientJob& job, const Cut& cut,
                  Scratch& scratch, std::int64_t c0, std::int64_t c1, std::int64_t group) {
  const auto base = static_cast<std::size_t>(group * cut.channels);
  run.reduce(job, cut, c0, c1, group, &scratch.partial_a[base], &scratch.partial_b[base]);
}

}  // namespace

// ---- Phases ----

void collect(const ConstChannelView& x, const Moments& moments, std::span<std::byte> workspace) {
  check_input(x);
  check_channels(x, moments.count, "count");
  check_channels(x, moments.mean, "mean");
  check_channels(x, moments.m2, "m2");
  if (x.numel() == 0) {
    for (const auto& span : {moments.count, moments.mean, moments.m2}) std::ranges::fill(span, 0.0);
    return;
  }
  const Implementation& run = select(x.dtype);
  const Cut cut(x, run.whole_channels);
  Scratch scratch(cut, workspace);
  collect_everything(run, x, cut, scratch);
  for_each_few_channels(cut, [&](std::int64_t c0, std::int64_t c1) {
    const ChannelTotals totals = merge_groups(cut, scratch, c0, c1);
    for (auto c = static_cast<std::size_t>(c0); c < static_cast<std::size_t>(c1); ++c) {
      const ShiftedSums& total = totals[c - static_cast<std::size_t>(c0)];
      moments.count[c] = total.count;
      moments.mean[c] = total.mean();
      moments.m2[c] = total.m2();
    }
  });
}

void normalize(const ConstChannelView& x, BatchNormState& state, const Affine& affine,
               const Epilogue& epilogue, const ChannelView& y, std::span<std::byte> workspace) {
  check_input(x);
  check_output(x, epilogue, y);
  check_affine(x, affine);
  check_state(x, state, epilogue);
  const Implementation& run = select(x.dtype);
  const Cut cut(x, run.whole_channels);
  Scratch scratch(cut, workspace);
  prepare_all(cut, state, affine, scratch.coefficients);
  const bool masks = epilogue.activation != Activation::none;
  const NormalizeJob job{x,
                         y,
                         state,
                         affine,
                         epilogue,
                         scratch.coefficients,
                         masks ? state.mask.data() : nullptr,
                         {output_streams(x, cut, epilogue, y), 0}};
  for_each_row_range(cut, Order::backward, job.passage.stream,
                     [&](std::int64_t c0, std::int64_t c1, std::int64_t r0, std::int64_t r1) {
                       run.normalize(job, cut, c0, c1, r0, r1);
                     });
}

void reduce_gradients(const ConstChannelView& x, const ConstChannelView& dy,
                      const BatchNormState& state, const Epilogue& epilogue,
                      const GradientSums& sums, std::span<std::byte> workspace) {
  check_gradient(x, dy, {}, state, epilogue);
  check_channels(x, sums.g, "sums.g");
  check_channels(x, sums.g_centred, "sums.g_centred");
  const Implementation& run = select(x.dtype);
  const Cut cut(x, run.whole_channels);
  Scratch scratch(cut, workspace);
  const Affine no_affine;
  prepare_all(cut, state, no_affine, scratch.coefficients);
  const GradientJob job = gradient_job(x, dy, state, no_affine, epilogue, scratch);
  for_each_group(cut, [&](std::int64_t c0, std::int64_t c1, std::int64_t group) {
    reduce_group(run, job, cut, scratch, c0, c1, group);
  });
  for_each_few_channels(
      cut, [&](std::int64_t c0, std::int64_t c1) { sum_groups(cut, scratch, sums, c0, c1); });
}

void propagate(const ConstChannelView& x, const ConstChannelView& dy, const BatchNormState& state,
               const Affine& affine, const Epilogue& epilogue, const GradientSums& sums,
               double count, const ChannelView& dx, const std::optional<ChannelView>& dadd,
               std::span<std::byte> workspace) {
  check_gradient(x, dy, affine, state, epilogue);
  check_outputs(x, dy, dx, dadd);
  if (!(count >= 0) || !std::isfinite(count)) {
    fail<UsageError>("[batch_norm] expected a count of 0 or more values per channel, got {}",
                     count);
  }
  if (count > 0) {
    check_channels(x, sums.g, "sums.g");
    check_channels(x, sums.g_centred, "sums.g_centred");
  }
  const Implementation& run = select(x.dtype);
  const Cut cut(x, run.whole_channels);
  Scratch scratch(cut, workspace);
  for_each_few_channels(cut, [&](std::int64_t c0, std::int64_t c1) {
    prepare(state, affine, c0, c1, scratch.coefficients);
    prepare_gradient(sums, state, count, c0, c1, scratch);
  });
  GradientJob job = gradient_job(x, dy, state, affine, epilogue, scratch);
  job.dx = dx;
  job.dadd = &dadd;
  job.constant_statistics = count <= 0;
  job.passage.stream = gradients_stream(x, cut, dy, dx, dadd);
  for_each_row_range(cut, Order::backward, job.passage.stream,
                     [&](std::int64_t c0, std::int64_t c1, std::int64_t r0, std::int64_t r1) {
                       run.propagate(job, cut, c0, c1, r0, r1);
                     });
}

// ---- Whole ----

bool forward_train(const ConstChannelView& x, const Affine& affine, double eps,
                   RunningStats* running, const Epilogue& epilogue, const ChannelView& y,
                   BatchNormState& state, std::span<std::byte> workspace) {
  check_input(x);
  check_output(x, epilogue, y);
  check_affine(x, affine);
  check_eps(eps);
  check_state(x, state, epilogue);
  check_count(x);
  if (running != nullptr) check_running(static_cast<std::size_t>(x.c), *running);
  if (x.numel() == 0) {
    std::ranges::fill(state.mean, 0.0);
    std::ranges::fill(state.var, 0.0);
    std::ranges::fill(state.inv_std, 0.0);
    return true;
  }
  const Implementation& run = select(x.dtype);
  const Cut cut(x, run.whole_channels);
  Scratch scratch(cut, workspace);
  const auto finish = [&](std::int64_t c0, std::int64_t c1) {
    const ChannelTotals totals = merge_groups(cut, scratch, c0, c1);
    for (auto c = static_cast<std::size_t>(c0); c < static_cast<std::size_t>(c1); ++c) {
      const ShiftedSums& total = totals[c - static_cast<std::size_t>(c0)];
      finalize_channel(total.count, total.mean(), total.m2(), eps, state, c);
    }
  };
  if (slab_by_slab(cut)) {
    const bool masks = epilogue.activation != Activation::none;
    const Passage passage{output_streams(x, cut, epilogue, y), slab_ahead(cut, 1)};
    const CollectJob sums{x, scratch.centre, passage.ahead};
    const NormalizeJob job{x,
                           y,
                           state,
                           affine,
                           epilogue,
                           scratch.coefficients,
                           masks ? state.mask.data() : nullptr,
                           passage};
    for_each_slab(cut, job.passage.stream, [&](std::int64_t c0, std::int64_t c1) {
      run.find_centres(sums, cut, c0, c1);
      for (std::int64_t group = 0; group < cut.groups; ++group) {
        collect_group(run, sums, cut, scratch, c0, c1, group);
      }
      finish(c0, c1);
      prepare(state, affine, c0, c1, scratch.coefficients);
      run.normalize(job, cut, c0, c1, 0, cut.rows);
    });
  } else {
    collect_everything(run, x, cut, scratch);
    for_each_few_channels(cut, finish);
    normalize(x, state, affine, epilogue, y, workspace);
  }
  return running == nullptr || update_running(state, static_cast<double>(x.count()), *running);
}

void forward_infer(const ConstChannelView& x, const Affine& affine, double eps,
                   std::span<const double> mean, std::span<const double> var,
                   const Epilogue& epilogue, const ChannelView& y, BatchNormState* state,
                   std::span<std::byte> workspace) {
  check_input(x);
  check_output(x, epilogue, y);
  check_affine(x, affine);
  check_eps(eps);
  check_channels(x, mean, "mean");
  check_channels(x, var, "var");
  if (state != nullptr) check_state(x, *state, epilogue);
  const Implementation& run = select(x.dtype);
  const Cut cut(x, run.whole_channels);
  Scratch scratch(cut, workspace);
  // Without a state of the caller's, the per-channel numbers live in the workspace.
  BatchNormState own{scratch.sum_a, scratch.sum_b, scratch.a, {}};
  BatchNormState& used = state != nullptr ? *state : own;
  for_each_few_channels(cut, [&](std::int64_t c0, std::int64_t c1) {
    for (auto c = static_cast<std::size_t>(c0); c < static_cast<std::size_t>(c1); ++c) {
      used.mean[c] = mean[c];
      used.var[c] = var[c];
      used.inv_std[c] = inverse_std(var[c], eps);
    }
    prepare(used, affine, c0, c1, scratch.coefficients);
  });
  const bool masks = state != nullptr && epilogue.activation != Activation::none;
  const NormalizeJob job{x,
                         y,
                         used,
                         affine,
                         epilogue,
                         scratch.coefficients,
                         masks ? state->mask.data() : nullptr,
                         {output_streams(x, cut, epilogue, y), 0}};
  for_each_row_range(cut, Order::forward, job.passage.stream,
                     [&](std::int64_t c0, std::int64_t c1, std::int64_t r0, std::int64_t r1) {
                       run.normalize(job, cut, c0, c1, r0, r1);
                     });
}

namespace {

void backward(const ConstChannelView& x, const ConstChannelView& dy, const Affine& affine,
              const BatchNormState& state, const Epilogue& epilogue, const ChannelView& dx,
              VectorView dgamma, VectorView dbeta, const std::optional<ChannelView>& dadd,
              bool constant, std::span<std::byte> workspace) {
  check_gradient(x, dy, affine, state, epilogue);
  check_outputs(x, dy, dx, dadd);
  if (!dgamma.empty()) check_channels(x, dgamma, "dgamma");
  if (!dbeta.empty()) check_channels(x, dbeta, "dbeta");
  if (x.numel() == 0) return;
  const double count = constant ? 0.0 : static_cast<double>(x.count());
  const Implementation& run = select(x.dtype);
  const Cut cut(x, run.whole_channels);
  Scratch scratch(cut, workspace);
  const GradientSums sums{scratch.sum_a, scratch.sum_b};
  GradientJob job = gradient_job(x, dy, state, affine, epilogue, scratch);
  job.dx = dx;
  job.dadd = &dadd;
  job.constant_statistics = constant;
  job.passage.stream = gradients_stream(x, cut, dy, dx, dadd);
  if (slab_by_slab(cut)) {
    job.passage.ahead = slab_ahead(cut, 2);
    for_each_slab(cut, job.passage.stream, [&](std::int64_t c0, std::int64_t c1) {
      prepare(state, affine, c0, c1, scratch.coefficients);
      for (std::int64_t group = 0; group < cut.groups; ++group) {
        reduce_group(run, job, cut, scratch, c0, c1, group);
      }
      sum_groups(cut, scratch, sums, c0, c1);
      prepare_gradient(sums, state, count, c0, c1, scratch);
      run.propagate(job, cut, c0, c1, 0, cut.rows);
    });
  } else {
    prepare_all(cut, state, affine, scratch.coefficients);
    for_each_group(cut, [&](std::int64_t c0, std::int64_t c1, std::int64_t group) {
      reduce_group(run, job, cut, scratch, c0, c1, group);
    });
    for_each_few_channels(cut, [&](std::int64_t c0, std::int64_t c1) {
      sum_groups(cut, scratch, sums, c0, c1);
      prepare_gradient(sums, state, count, c0, c1, scratch);
    });
    for_each_row_range(cut, Order::backward, job.passage.stream,
                       [&](std::int64_t c0, std::int64_t c1, std::int64_t r0, std::int64_t r1) {
                         run.propagate(job, cut, c0, c1, r0, r1);
                       });
  }
  accumulate_affine_gradients(state, sums, dgamma, dbeta);
}

}  // namespace

void backward_train(const ConstChannelView& x, const ConstChannelView& dy, const Affine& affine,
                    const BatchNormState& state, const Epilogue& epilogue, const ChannelView& dx,
                    VectorView dgamma, VectorView dbeta, const std::optional<ChannelView>& dadd,
                    std::span<std::byte> workspace) {
  backward(x, dy, affine, state, epilogue, dx, dgamma, dbeta, dadd, false, workspace);
}

void backward_infer(const ConstChannelView& x, const ConstChannelView& dy, const Affine& affine,
                    const BatchNormState& state, const Epilogue& epilogue, const ChannelView& dx,
                    VectorView dgamma, VectorView dbeta, const std::optional<ChannelView>& dadd,
                    std::span<std::byte> workspace) {
  backward(x, dy, affine, state, epilogue, dx, dgamma, dbeta, dadd, true, workspace);
}

}  // namespace evenkeel::norm
