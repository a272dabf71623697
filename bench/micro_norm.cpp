// Every normalization operator and every phase of batch norm alone, over all shapes.

#include <algorithm>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "micro.h"
#include "own.h"
#include "shapes.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::bench {
namespace {

constexpr std::int64_t kBatch = 32;

/// The candidate of a layout, run as often as Google Benchmark asks. Data are made when it is its
/// turn.
void add_whole(const std::string& name, const ProblemSize& size, const Work& work, Layout layout) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    const Problem problem(size);
    Work own = work;
    own.threads = max_threads();
    const Expected expected = problem.expected(own);
    for (const Candidate& candidate : own_candidates(problem, own)) {
      if (candidate.layout != layout) continue;
      verify(candidate, expected, candidate.read(expected));
      for (auto _ : state) candidate.seconds(1, 1);
      count_bytes(state, own.least_traffic() * static_cast<double>(problem.bytes()));
    }
  })->UseRealTime();
}

/// What the phases need.
struct Phases {
  Problem problem;
  norm::ConstChannelView x, dy;
  Tensor y;
  std::vector<double> count, mean, m2, g, g_centred;
  norm::Epilogue epilogue{.activation = norm::Activation::relu, .add = {}};
  std::vector<std::byte> state_memory, workspace;
  norm::BatchNormState state;
  norm::Affine affine;

  Phases(const ProblemSize& size, Layout layout)
      : problem(size),
        x(norm::view(problem.x(layout))),
        dy(norm::view(problem.dy(layout))),
        y(Tensor::like(problem.x(layout))),
        count(problem.gamma.size()),
        mean(count),
        m2(count),
        g(count),
        g_centred(count),
        state_memory(norm::state_size(x, epilogue)),
        workspace(norm::workspace_size(x)),
        state(norm::bind_state(state_memory, x, epilogue)),
        affine{std::span<const float>(problem.gamma), std::span<const float>(problem.beta)} {
    collect();
    norm::finalize({count, mean, m2}, Problem::kEps, state);
    normalize();
    reduce();
  }

  void collect() { norm::collect(x, {count, mean, m2}, workspace); }
  void normalize() { norm::normalize(x, state, affine, epilogue, norm::view(y), workspace); }
  void reduce() { norm::reduce_gradients(x, dy, state, epilogue, {g, g_centred}, workspace); }
  void propagate() {
    norm::propagate(x, dy, state, affine, epilogue, {g, g_centred}, static_cast<double>(x.count()),
                    norm::view(y), {}, workspace);
  }
};

void add_phase(const std::string& name, const ProblemSize& size, Layout layout, double traffic,
               void (Phases::*phase)()) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    Phases phases(size, layout);
    for (auto _ : state) (phases.*phase)();
    count_bytes(state, traffic * static_cast<double>(phases.problem.bytes()));
  })->UseRealTime();
}

void add_batch_norm(const SampleShape& shape, Layout layout) {
  const ProblemSize size{.n = kBatch, .c = shape.c, .h = shape.h, .w = shape.w};
  const std::string where = fmt::format("{}/{}", shape.name(), name_of(layout));
  for (const Operation operation :
       {Operation::forward, Operation::backward, Operation::inference}) {
    for (const bool relu : {false, true}) {
      for (const bool sum : {false, true}) {
        const Work work{.operation = operation, .relu = relu, .add = sum};
        add_whole(fmt::format("batch_norm/{}/{}", work.name(), where), size, work, layout);
      }
    }
  }
  add_phase("batch_norm/collect/" + where, size, layout, 1, &Phases::collect);
  add_phase("batch_norm/normalize+relu/" + where, size, layout, 2, &Phases::normalize);
  add_phase("batch_norm/reduce+relu/" + where, size, layout, 2, &Phases::reduce);
  add_phase("batch_norm/propagate+relu/" + where, size, layout, 3, &Phases::propagate);
}

void add_rows(Family family, const std::string& shape, const ProblemSize& size) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    if (family == Family::layer_norm && layout == Layout::channels_last) continue;
    for (const Operation operation : {Operation::forward, Operation::backward}) {
      const Work work{.family = family, .operation = operation};
      std::string name =
          fmt::format("{}/{}/{}/{}", name_of(family), work.name(), shape, name_of(layout));
      std::ranges::replace(name, ' ', '_');  // names are filtered by regular expressions
      add_whole(name, size, work, layout);
    }
  }
}

}  // namespace

void add_norm_benchmarks() {
  for (const SampleShape& shape : batch_norm_shapes()) {
    add_batch_norm(shape, Layout::channels_first);
    add_batch_norm(shape, Layout::channels_last);
  }
  for (const RowShape& row : layer_norm_shapes()) {
    add_rows(Family::layer_norm, fmt::format("{}x{}", row.rows, row.length),
             {.n = row.rows, .c = row.length});
  }
  const auto size_of_group = [](const GroupShape& row) {
    return ProblemSize{.n = row.n, .c = row.c, .h = row.h, .w = row.w, .groups = row.groups};
  };
  for (const GroupShape& row : group_norm_shapes()) {
    add_rows(Family::group_norm, row.name, size_of_group(row));
  }
  for (const GroupShape& row : instance_norm_shapes()) {
    add_rows(Family::instance_norm, row.name, size_of_group(row));
  }
}

}  // namespace evenkeel::bench
