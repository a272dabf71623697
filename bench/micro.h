// evenkeel_micro: single operators under Google Benchmark, for whoever works on one of them.
#pragma once

#include <cstdint>

#include <benchmark/benchmark.h>

namespace evenkeel::bench {

void add_norm_benchmarks();
void add_operator_benchmarks();

/// Bytes that one iteration reads and writes at least.
inline void count_bytes(benchmark::State& state, double bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

}  // namespace evenkeel::bench
