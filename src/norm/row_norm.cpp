// The row operators, forward: check, cut, and spread units of work over threads.
#include "norm/row_checks.h"
#include "norm/row_units.h"
#include "norm/statistics.h"
#include <evenkeel/core/error.h>
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::norm {
namespace {

/// Overwrites the sums of a unit's rows.
void collect_unit(const RowImplementation& run, const ConstRowView& x, const RowCut& cut,
                  Centre centre, std::int64_t unit, std::int64_t ahead, ShiftedSums* totals) {
  run.collect(x, cut, centre, unit, 0, ahead, totals);
  for (std::int64_t part = 1; part < cut.parts; ++part) {
    ShiftedSums sums[RowCut::kSlab];
    run.collect(x, cut, centre, unit, part, ahead, sums);
    for (std::int64_t g = 0; g < cut.groups_of(unit).size(); ++g) {
      totals[g].add(sums[g].count, sums[g].pivot, sums[g].first, sums[g].second);
    }
  }
}

/// The same from parts that were summed elsewhere.
void merge_unit(const RowCut& cut, const RowScratch& scratch, std::int64_t unit,
                ShiftedSums* totals) {
  for (std::int64_t part = 0; part < cut.parts; ++part) {
    const std::int64_t first = (unit * cut.parts + part) * cut.slab_groups;
    for (std::int64_t g = 0; g < cut.groups_of(unit).size(); ++g) {
      const ShiftedSums& sums = scratch.partial[static_cast<std::size_t>(first + g)];
      if (part == 0) {
        totals[g] = sums;
      } else {
        totals[g].add(sums.count, sums.pivot, sums.first, sums.second);
      }
    }
  }
}

/// Calls f with room for the sums of a unit's rows; most units are one row.
template <class F>
void with_totals(const RowCut& cut, F&& f) {
  if (cut.slab_groups == 1) {
    ShiftedSums one;
    f(&one);
  } else {
    ShiftedSums many[RowCut::kSlab];
    f(many);
  }
}

/// Short rows that are worked on together: what one of them waits for overlaps with the others'
/// work.
constexpr std::int64_t kBunch = 8;

/// Calls settle(unit, sums of its rows) and then after(unit, slice) for every unit and slice, while its
/// values are in the cache; without enough units for all threads, settle alone. Returns whether
/// after was called; it goes by `passage`.
template <class Settle, class After>
bool for_each_unit_sums(const RowImplementation& run, const ConstRowView& x, const RowCut& cut,
                        Centre centre, const Passage& passage, const RowScratch& scratch,
                        Settle&& settle, After&& after) {
  if (cut.short_rows()) {
    const std::int64_t bunches = (cut.units() + kBunch - 1) / kBunch;
    parallel_passes(bunches, kBunch * unit_cost(cut), passage.stream, [&](std::int64_t bunch) {
      const std::int64_t begin = bunch * kBunch;
      const std::int64_t end = std::min(cut.units(), begin + kBunch);
      ShiftedSums totals[kBunch];
      for (std::int64_t u = begin; u < end; ++u)
        run.collect(x, cut, centre, u, 0, passage.ahead, &totals[u - begin]);
      for (std::int64_t u = begin; u < end; ++u) settle(u, &totals[u - begin]);
      for (std::int64_t u = begin; u < end; ++u) {
        for_each_slice(cut, [&](std::int64_t slice) { after(u, slice); });
      }
    });
    return true;
  }
  const auto collect_part = [&](std::int64_t i) {
    ShiftedSums* sums = &scratch.partial[static_cast<std::size_t>(i * cut.slab_groups)];
    run.collect(x, cut, centre, i / cut.parts, i % cut.parts, 0, sums);
  };
  const auto settle_parts = [&](std::int64_t unit) {
    with_totals(cut, [&](ShiftedSums* totals) {
      merge_unit(cut, scratch, unit, totals);
      settle(unit, totals);
    });
  };
  if (shares_units(cut, 1)) {
    for (std::int64_t unit = 0; unit < cut.units(); ++unit) {
      parallel_for(cut.parts, unit_cost(cut) / cut.parts,
                   [&](std::int64_t part) { collect_part(unit * cut.parts + part); });
      settle_parts(unit);
      parallel_passes(
          cut.slices, unit_cost(cut) / cut.slices, passage.stream,
          [&](std::int64_t slice) { after(unit, slice); }, Order::backward);
    }
    return true;
  }
  if (unit_by_unit(cut.units(), std::max(cut.parts, cut.slices))) {
    parallel_passes(cut.units(), unit_cost(cut), passage.stream, [&](std::int64_t unit) {
      with_totals(cut, [&](ShiftedSums* totals) {
        collect_unit(run, x, cut, centre, unit, passage.ahead, totals);
        settle(unit, totals);
        for_each_slice(cut, [&](std::int64_t slice) { after(unit, slice); });
      });
    });
    return true;
  }
  parallel_for(cut.units() * cut.parts, unit_cost(cut) / cut.parts, collect_part);
  for (std::int64_t unit = 0; unit < cut.units(); ++unit) settle_parts(unit);
  return false;
}

void finalize_row(double count, double mean, double m2, double eps, RowNormState& state,
                  std::size_t row) {
  const double var = count > 0 ? m2 / count : 0.0;
  state.mean[row] = mean;
  state.var[row] = var;
  state.inv_std[row] = count > 0 ? inverse_std(var, eps) : 0.0;
}

void normalize_everything(const RowImplementation& run, const RowNormalizeJob& job,
                          const RowCut& cut) {
  if (unit_by_unit(cut.units(), cut.slices)) {
    parallel_passes(cut.units(), unit_cost(cut), job.passage.stream, [&](std::int64_t unit) {
      for_each_slice(cut, [&](std::int64_t slice) { run.normalize(job, cut, unit, slice); });
    });
    return;
  }
  parallel_passes(cut.units() * cut.slices, unit_cost(cut) / cut.slices, job.passage.stream,
                  [&](std::int64_t i) { run.normalize(job, cut, i / cut.slices, i % cut.slices); });
}

void check_forward(const ConstRowView& x, const Affine& affine, const RowView& y) {
  check_row_data(x, "x");
  check_like(x, y, "y");
  check_row_overlap(y, "y", {x});
  check_row_affine(x, affine);
}

}  // namespace

void forward_rows(const ConstRowView& x, const Affine& affine, const RowNorm& norm,
                  const RowView& y, RowNormState* state, std::span<std::byte> workspace) {
  check_forward(x, affine, y);
  check_row_eps(norm.eps);
  if (state != nullptr) check_row_state(x, *state);
  const RowImplementation& run = *select(x.dtype).rows;
  const RowCut cut(x, run.whole_rows);
  RowScratch scratch(cut, workspace);
  RowNormState& used = state != nullptr ? *state : scratch.own;
  if (x.numel() == 0) {
    for (const auto& span : {used.mean, used.var, used.inv_std}) std::ranges::fill(span, 0.0);
    return;
  }
  const AffineNumbers numbers(affine, scratch);
  const RowNormalizeJob job{
      x,
      y,
      used,
      affine,
      numbers.gamma,
      numbers.beta,
      {row_output_streams(y, {x.data}), row_ahead(cut, cut.short_rows() ? kBunch : 1, 1)}};
  const bool done = for_each_unit_sums(
      run, x, cut, norm.centre, job.passage, scratch,
      [&](std::int64_t unit, const ShiftedSums* sums) {
        auto row = static_cast<std::size_t>(cut.first_row(unit));
        for (std::int64_t g = 0; g < cut.groups_of(unit).size(); ++g, ++row) {
          finalize_row(sums[g].count, sums[g].mean(), sums[g].m2(), norm.eps, used, row);
        }
      },
      [&](std::int64_t unit, std::int64_t slice) { run.normalize(job, cut, unit, slice); });
  if (!done) normalize_everything(run, job, cut);
}

void collect_rows(const ConstRowView& x, Centre centre, const Moments& moments,
                  std::span<std::byte> workspace) {
  check_row_data(x, "x");
  check_per_row(x, moments.count, "count");
  check_per_row(x, moments.mean, "mean");
  check_per_row(x, moments.m2, "m2");
  const RowImplementation& run = *select(x.dtype).rows;
  const RowCut cut(x, run.whole_rows);
  const RowScratch scratch(cut, workspace);
  if (x.numel() == 0) {
    for (const auto& span : {moments.count, moments.mean, moments.m2}) std::ranges::fill(span, 0.0);
    return;
  }
  for_each_unit_sums(
      run, x, cut, centre, {}, scratch,
      [&](std::int64_t unit, const ShiftedSums* sums) {
        auto row = static_cast<std::size_t>(cut.first_row(unit));
        for (std::int64_t g = 0; g < cut.groups_of(unit).size(); ++g, ++row) {
          moments.count[row] = sums[g].count;
          moments.mean[row] = sums[g].mean();
          moments.m2[row] = sums[g].m2();
        }
      },
      [](std::int64_t /*unit*/, std::int64_t /*slice*/) {});
}

void finalize_rows(const Moments& moments, double eps, RowNormState& state) {
  check_row_eps(eps);
  const ConstRowView rows = row_view(static_cast<const void*>(nullptr), DType::f32,
                                     static_cast<std::int64_t>(moments.count.size()), 0);
  check_per_row(rows, moments.count, "count");
  check_per_row(rows, moments.mean, "mean");
  check_per_row(rows, moments.m2, "m2");
  check_row_state(rows, state);
  for (std::size_t row = 0; row < moments.count.size(); ++row) {
    finalize_row(moments.count[row], moments.mean[row], moments.m2[row], eps, state, row);
  }
}

void normalize_rows(const ConstRowView& x, const RowNormState& state, const Affine& affine,
                    const RowView& y, std::span<std::byte> workspace) {
  check_forward(x, affine, y);
  check_row_state(x, state);
  const RowImplementation& run = *select(x.dtype).rows;
  const RowCut cut(x, run.whole_rows);
  const RowScratch scratch(cut, workspace);
  if (x.numel() == 0) return;
  const AffineNumbers numbers(affine, scratch);
  normalize_everything(run, {x, y, state, affine, numbers.gamma, numbers.beta,
                             {row_output_streams(y, {x.data}), 0}},
                       cut);
}

bool update_running_instances(const ConstRowView& x, const RowNormState& state,
                              RunningStats& running, std::span<std::byte> workspace) {
  check_rows(x);
  check_row_state(x, state);
  if (x.channels != 1) {
    fail<ShapeError>(
        "[instance_norm] expected groups of one channel, got {}; view x with as many "
        "groups as channels",
        x.channels);
  }
  if (!running.momentum) {
    fail<UsageError>(
        "[instance_norm] expected a momentum for the running statistics; 0.1 is usual");
  }
  if (x.n > 0 && x.s == 1) {
    fail<ShapeError>("[instance_norm] expected more than one position for the running statistics");
  }
  const RowCut cut(x);
  const RowScratch scratch(cut, workspace);
  if (x.numel() == 0) return true;
  const auto groups = static_cast<std::size_t>(x.groups);
  const BatchNormState averages{
      scratch.own.mean.first(groups), scratch.own.var.first(groups), {}, {}};
  for (std::size_t c = 0; c < groups; ++c) {
    double mean = 0;
    double var = 0;
    for (std::size_t row = c; row < state.mean.size(); row += groups) {
      mean += state.mean[row];
      var += state.var[row];
    }
    averages.mean[c] = mean / static_cast<double>(x.n);
    averages.var[c] = var / static_cast<double>(x.n);
  }
  return update_running(averages, static_cast<double>(x.s), running);
}

}  // namespace evenkeel::norm
