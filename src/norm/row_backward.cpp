// The row operators, backward: check, cut, and spread units of work over threads.
#include "norm/row_checks.h"
#include "norm/row_units.h"
#include "norm/scalar.h"
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::norm {
namespace {

/// One call, with its memory.
struct Backward {
  const RowImplementation& run;
  const RowCut& cut;
  const RowGradientJob& job;
  RowScratch& scratch;
  VectorView dgamma, dbeta;

  bool wants_affine() const { return !dgamma.empty() || !dbeta.empty(); }
  std::size_t parameters() const { return static_cast<std::size_t>(cut.sample_channels()); }
  RowSums& sums_of(std::int64_t row) const { return scratch.sums[static_cast<std::size_t>(row)]; }
  /// Of a unit's rows.
  RowSums* cleared_sums(std::int64_t unit) const {
    RowSums* sums = &sums_of(cut.first_row(unit));
    std::fill(sums, sums + cut.groups_of(unit).size(), RowSums{});
    return sums;
  }
  void propagate(std::int64_t unit, const RowSums* sums) const {
    for_each_slice(cut, [&](std::int64_t slice) { run.propagate(job, cut, unit, slice, sums); });
  }
  /// dx from scratch.sums.
  void propagate_everything() const {
    const std::int64_t cost = unit_cost(cut) / cut.slices;
    parallel_passes(cut.units() * cut.slices, cost, job.passage.stream, [&](std::int64_t i) {
      const std::int64_t unit = i / cut.slices;
      run.propagate(job, cut, unit, i % cut.slices, &sums_of(cut.first_row(unit)));
    });
  }
  /// Adds Σ of `sets` sets of values per parameter, weighted by weight(set, parameter), to dγ and
  /// dβ.
  template <class F>
  void accumulate(std::int64_t sets, F&& weight) {
    if (!wants_affine()) return;
    constexpr std::int64_t kRange = 256;
    parallel_ranges(cut.sample_channels(), kRange, [&](std::int64_t begin, std::int64_t end) {
      double gamma[kRange] = {}, beta[kRange] = {};
      for (std::int64_t set = 0; set < sets; ++set) {
        for (std::int64_t c = begin; c < end; ++c) {
          const auto i = static_cast<std::size_t>(set) * parameters() + static_cast<std::size_t>(c);
          gamma[c - begin] += scratch.dgamma[i] * weight(set, c);
          beta[c - begin] += scratch.dbeta[i];
        }
      }
      for (std::int64_t c = begin; c < end; ++c) {
        if (!dgamma.empty()) dgamma.add(c, gamma[c - begin]);
        if (!dbeta.empty()) dbeta.add(c, beta[c - begin]);
      }
    });
  }
};

// ---- γ and β per element: chunks of samples have sums of their own ----

/// Calls f(bundle) for the rows of a chunk.
template <class F>
void for_each_bundle(const RowCut& cut, std::int64_t chunk, F&& f) {
  const Range samples = cut.chunk(chunk);
  for (std::int64_t n = samples.begin; n < samples.end; n += RowCut::kBundle) {
    for (std::int64_t g = 0; g < cut.groups; ++g) {
      f(Bundle{n, std::min(samples.end, n + RowCut::kBundle), g});
    }
  }
}

/// The chunk's sums for γ and β over one part, cleared; null where nobody wants them.
double* cleared(const Backward& b, std::span<double> all, std::int64_t chunk, std::int64_t part) {
  if (!b.wants_affine()) return nullptr;
  double* sums = all.data() + chunk * b.cut.sample_channels();
  const Range range = b.cut.part(part);
  for (std::int64_t g = 0; g < b.cut.groups; ++g) {
    double* group = sums + g * b.cut.channels;
    std::fill(group + range.begin, group + range.end, 0.0);
  }
  return sums;
}

void chunk_whole(const Backward& b, std::int64_t chunk) {
  double *dgamma = nullptr, *dbeta = nullptr;
  for (std::int64_t part = 0; part < b.cut.parts; ++part) {
    dgamma = cleared(b, b.scratch.dgamma, chunk, part);
    dbeta = cleared(b, b.scratch.dbeta, chunk, part);
  }
  for_each_bundle(b.cut, chunk, [&](const Bundle& bundle) {
    RowSums totals[RowCut::kBundle];
    for (std::int64_t part = 0; part < b.cut.parts; ++part) {
      RowSums sums[RowCut::kBundle];
      b.run.reduce_elements(b.job, b.cut, bundle, part, sums, dgamma, dbeta);
      for (std::int64_t k = 0; k < bundle.n1 - bundle.n0; ++k) totals[k].add(sums[k]);
    }
    // The row that was read last is the first one: it is still in the cache.
    for (std::int64_t k = bundle.n1 - bundle.n0; k-- > 0;) {
      b.propagate((bundle.n0 + k) * b.cut.groups + bundle.g, &totals[k]);
    }
  });
}

void elements_in_phases(const Backward& b) {
  const RowCut& cut = b.cut;
  const auto partial = [&](std::int64_t row, std::int64_t part) -> RowSums& {
    return b.scratch.partial_sums[static_cast<std::size_t>(row * cut.parts + part)];
  };
  const std::int64_t cost = cut.chunk_samples * cut.groups * cut.length() / cut.parts;
  parallel_for(cut.chunks * cut.parts, cost, [&](std::int64_t i) {
    const std::int64_t chunk = i / cut.parts;
    const std::int64_t part = i % cut.parts;
    double* dgamma = cleared(b, b.scratch.dgamma, chunk, part);
    double* dbeta = cleared(b, b.scratch.dbeta, chunk, part);
    for_each_bundle(cut, chunk, [&](const Bundle& bundle) {
      RowSums sums[RowCut::kBundle];
      b.run.reduce_elements(b.job, cut, bundle, part, sums, dgamma, dbeta);
      for (std::int64_t k = 0; k < bundle.n1 - bundle.n0; ++k) {
        partial((bundle.n0 + k) * cut.groups + bundle.g, part) = sums[k];
      }
    });
  });
  for (std::int64_t row = 0; row < cut.units(); ++row) {
    RowSums total;
    for (std::int64_t part = 0; part < cut.parts; ++part) total.add(partial(row, part));
    b.sums_of(row) = total;
  }
  b.propagate_everything();
}

void backward_elements(Backward& b) {
  if (unit_by_unit(b.cut.chunks, b.cut.parts)) {
    const std::int64_t cost = b.cut.chunk_samples * b.cut.groups * b.cut.length();
    parallel_passes(b.cut.chunks, cost, b.job.passage.stream,
                    [&](std::int64_t chunk) { chunk_whole(b, chunk); });
  } else {
    elements_in_phases(b);
  }
  b.accumulate(b.cut.chunks, [](std::int64_t, std::int64_t) { return 1.0; });
}

// ---- γ and β per channel: sums per channel of each sample give those of the rows ----

void reduce_slice(const Backward& b, std::int64_t unit, std::int64_t slice) {
  const RowCut& cut = b.cut;
  const std::int64_t set = cut.kind == RowKind::channel_last ? slice : 0;
  const auto first =
      static_cast<std::size_t>((set * cut.n + cut.sample_of(unit)) * cut.sample_channels() +
                               cut.groups_of(unit).begin * cut.channels);
  b.run.reduce_channels(b.job, cut, unit, slice, &b.scratch.dbeta[first], &b.scratch.dgamma[first]);
}

/// Adds up the slices of a unit's channels into the first set, and these into the sums of its rows.
void merge_channels(const Backward& b, std::int64_t unit, RowSums* rows) {
  const RowCut& cut = b.cut;
  const std::int64_t channels = cut.sample_channels();
  const std::int64_t sample = cut.sample_of(unit);
  const Range groups = cut.groups_of(unit);
  for (std::int64_t c = groups.begin * cut.channels; c < groups.end * cut.channels; ++c) {
    RowSums total;
    const std::int64_t sets = cut.kind == RowKind::channel_last ? cut.slices : 1;
    for (std::int64_t set = 0; set < sets; ++set) {
      const auto i = static_cast<std::size_t>((set * cut.n + sample) * channels + c);
      total.add({b.scratch.dbeta[i], b.scratch.dgamma[i]});
    }
    const auto i = static_cast<std::size_t>(sample * channels + c);
    b.scratch.dgamma[i] = total.g_centred;
    b.scratch.dbeta[i] = total.g;
    const double gamma = b.job.affine.gamma.empty() ? 1.0 : b.job.affine.gamma[c];
    rows[c / cut.channels - groups.begin].add({gamma * total.g, gamma * total.g_centred});
  }
}

void backward_channels(Backward& b) {
  const RowCut& cut = b.cut;
  if (shares_units(cut, 2)) {
    const std::int64_t cost = unit_cost(cut) / cut.slices;
    for (std::int64_t unit = 0; unit < cut.units(); ++unit) {
      parallel_for(cut.slices, cost, [&](std::int64_t slice) { reduce_slice(b, unit, slice); });
      RowSums* rows = b.cleared_sums(unit);
      merge_channels(b, unit, rows);
      parallel_passes(
          cut.slices, cost, b.job.passage.stream,
          [&](std::int64_t slice) { b.run.propagate(b.job, cut, unit, slice, rows); },
          Order::backward);
    }
  } else if (unit_by_unit(cut.units(), cut.slices)) {
    parallel_passes(cut.units(), unit_cost(cut), b.job.passage.stream, [&](std::int64_t unit) {
      for (std::int64_t slice = 0; slice < cut.slices; ++slice) reduce_slice(b, unit, slice);
      if (cut.slab_groups == 1) {
        RowSums row;
        merge_channels(b, unit, &row);
        b.propagate(unit, &row);
        return;
      }
      RowSums rows[RowCut::kSlab];
      merge_channels(b, unit, rows);
      b.propagate(unit, rows);
    });
  } else {
    parallel_for(cut.units() * cut.slices, unit_cost(cut) / cut.slices,
                 [&](std::int64_t i) { reduce_slice(b, i / cut.slices, i % cut.slices); });
    for (std::int64_t unit = 0; unit < cut.units(); ++unit) {
      merge_channels(b, unit, b.cleared_sums(unit));
    }
    b.propagate_everything();
  }
  b.accumulate(cut.n, [&](std::int64_t n, std::int64_t c) {
    return b.job.state.inv_std[static_cast<std::size_t>(n * cut.groups + c / cut.channels)];
  });
}

}  // namespace

void backward_rows(const ConstRowView& x, const ConstRowView& dy, const Affine& affine,
                   const RowNormState& state, Centre centre, const RowView& dx, VectorView dgamma,
                   VectorView dbeta, std::span<std::byte> workspace) {
  check_row_data(x, "x");
  check_like(x, dy, "dy");
  check_like(x, dx, "dx");
  check_row_overlap(dx, "dx", {x, dy});
  check_row_affine(x, affine);
  check_row_state(x, state);
  check_per_channel(x, dgamma.size(), dgamma.data(), "dgamma");
  check_per_channel(x, dbeta.size(), dbeta.data(), "dbeta");
  const RowImplementation& run = *select(x.dtype).rows;
  const RowCut cut(x, run.whole_rows);
  RowScratch scratch(cut, workspace);
  if (x.numel() == 0) return;
  const AffineNumbers numbers(affine, scratch);
  const std::int64_t together = cut.kind == RowKind::element ? RowCut::kBundle : 1;
  const RowGradientJob job{
      x,
      dy,
      dx,
      state,
      affine,
      numbers.gamma,
      centre,
      {row_output_streams(dx, {x.data, dy.data}), row_ahead(cut, together, 2)}};
  Backward b{run, cut, job, scratch, dgamma, dbeta};
  if (cut.kind == RowKind::element) {
    backward_elements(b);
  } else {
    backward_channels(b);
  }
}

}  // namespace evenkeel::norm
