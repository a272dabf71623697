#include "nn/layers/offset_map.h"

#include <utility>

namespace evenkeel::nn {

OffsetMap::OffsetMap(std::vector<Table> tables) : outer_(std::move(tables)) {
  if (outer_.empty()) outer_.push_back({0});
  last_ = std::move(outer_.back());
  outer_.pop_back();
  for (const Table& table : outer_) rows_ *= static_cast<std::int64_t>(table.size());
}

OffsetMap OffsetMap::broadcast(const Shape& whole, const Shape& part) {
  const std::vector<std::int64_t> strides = strides_of(part);
  const int missing = whole.rank() - part.rank();
  std::vector<Table> tables;
  for (int d = 0; d < whole.rank(); ++d) {
    const bool repeated = d < missing || part[d - missing] == 1;
    const std::int64_t stride = repeated ? 0 : strides[static_cast<std::size_t>(d - missing)];
    Table table;
    for (std::int64_t i = 0; i < whole[d]; ++i) table.push_back(i * stride);
    tables.push_back(std::move(table));
  }
  return OffsetMap(std::move(tables));
}

std::int64_t OffsetMap::base_of(std::int64_t row) const {
  std::int64_t base = 0;
  for (std::size_t d = outer_.size(); d-- > 0;) {
    const auto extent = static_cast<std::int64_t>(outer_[d].size());
    const std::int64_t offset = outer_[d][static_cast<std::size_t>(row % extent)];
    if (offset == kNowhere) return kNowhere;
    base += offset;
    row /= extent;
  }
  return base;
}

std::vector<std::int64_t> strides_of(const Shape& shape) {
  std::vector<std::int64_t> strides(static_cast<std::size_t>(shape.rank()), 1);
  for (int d = shape.rank() - 1; d > 0; --d) {
    const auto i = static_cast<std::size_t>(d);
    strides[i - 1] = strides[i] * shape[d];
  }
  return strides;
}

void take_elements(const OffsetMap& map, const Tensor& x, double fill, Tensor& y) {
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    const T outside = stored<T>(fill);
    map.for_each_row([&](std::int64_t first, std::int64_t base, auto last) {
      T* const row = to + first;
      for (std::size_t i = 0; i < last.size(); ++i) {
        const bool nowhere = base == OffsetMap::kNowhere || last[i] == OffsetMap::kNowhere;
        row[i] = nowhere ? outside : from[base + last[i]];
      }
    });
  });
}

void sum_elements(const OffsetMap& map, const Tensor& x, double factor, Tensor& total) {
  Tensor sums = Tensor::zeros(total.shape(), DType::f64);
  double* const sum = sums.data<double>();
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    map.for_each_row_in_order([&](std::int64_t first, std::int64_t base, auto last) {
      if (base == OffsetMap::kNowhere) return;
      for (std::size_t i = 0; i < last.size(); ++i) {
        if (last[i] == OffsetMap::kNowhere) continue;
        sum[base + last[i]] += in_double(from[first + static_cast<std::int64_t>(i)]);
      }
    });
  });
  with_dtype(total.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* const to = total.data<T>();
    for (std::int64_t i = 0; i < total.numel(); ++i) to[i] = stored<T>(sum[i] * factor);
  });
}

}  // namespace evenkeel::nn
