// Sums over all rows of a matrix, or over all samples and positions of a feature map: what a bias
// gradient is. Held in double, cut by the shape alone and combined in a fixed order.
#pragma once

#include <algorithm>
#include <cstdint>

#include <evenkeel/core/memory.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/stored.h>

namespace evenkeel::ops::detail {

/// sums[c] += Σ_r rows[r·columns + c] for r in [begin, end).
template <class T>
void add_rows(const T* rows, std::int64_t begin, std::int64_t end, std::int64_t columns,
              double* sums) {
  for (std::int64_t r = begin; r < end; ++r) {
    const T* row = rows + r * columns;
    for (std::int64_t c = 0; c < columns; ++c) sums[c] += in_double(row[c]);
  }
}

/// Σ_r matrix[r·columns + c] for every c: `columns` doubles; null where there is nothing to sum.
template <class T>
std::shared_ptr<std::byte> column_sums(const T* matrix, std::int64_t rows, std::int64_t columns) {
  if (rows == 0 || columns == 0) return nullptr;
  constexpr std::int64_t kMaxBlocks = 16;
  constexpr std::int64_t kElementsPerBlock = 16 * 1024;
  const std::int64_t blocks =
      std::clamp<std::int64_t>(rows * columns / kElementsPerBlock, 1, std::min(kMaxBlocks, rows));
  auto memory = allocate(static_cast<std::size_t>(blocks * columns) * sizeof(double));
  auto* partial = reinterpret_cast<double*>(memory.get());
  parallel_for(blocks, rows * columns / blocks, [&](std::int64_t b) {
    double* sums = partial + b * columns;
    std::fill(sums, sums + columns, 0.0);
    add_rows(matrix, rows * b / blocks, rows * (b + 1) / blocks, columns, sums);
  });
  for (std::int64_t b = 1; b < blocks; ++b) add_rows(partial, b, b + 1, columns, partial);
  return memory;
}

/// Σ_n Σ_s maps[(n·channels + c)·positions + s] for every c: `channels` doubles.
template <class T>
std::shared_ptr<std::byte> plane_sums(const T* maps, std::int64_t samples, std::int64_t channels,
                                      std::int64_t positions) {
  auto memory = allocate(static_cast<std::size_t>(channels) * sizeof(double));
  auto* sums = reinterpret_cast<double*>(memory.get());
  parallel_for(channels, samples * positions, [&](std::int64_t c) {
    constexpr int kLanes = 8;
    double lanes[kLanes] = {};
    for (std::int64_t n = 0; n < samples; ++n) {
      const T* plane = maps + (n * channels + c) * positions;
      std::int64_t s = 0;
      for (; s + kLanes <= positions; s += kLanes) {
        for (int k = 0; k < kLanes; ++k) lanes[k] += in_double(plane[s + k]);
      }
      for (; s < positions; ++s) lanes[0] += in_double(plane[s]);
    }
    sums[c] = 0.0;
    for (const double lane : lanes) sums[c] += lane;
  });
  return memory;
}

/// out[c] += sums[c]; nothing for null.
template <class T>
void add_sums(const std::shared_ptr<std::byte>& sums, std::int64_t count, T* out) {
  if (!sums) return;
  const auto* values = reinterpret_cast<const double*>(sums.get());
  for (std::int64_t c = 0; c < count; ++c) {
    out[c] = static_cast<T>(static_cast<double>(out[c]) + values[c]);
  }
}

/// Both steps in one: out[c] += Σ_r matrix[r·columns + c].
template <class T>
void accumulate_column_sums(const T* matrix, std::int64_t rows, std::int64_t columns, T* out) {
  add_sums(column_sums(matrix, rows, columns), columns, out);
}

}  // namespace evenkeel::ops::detail
