#include "nn/layers/sequence_rows.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <evenkeel/core/parallel.h>
#include <evenkeel/core/stored.h>

namespace evenkeel::nn {
namespace {

constexpr std::int64_t kBlock = 64;  // rows

/// Calls f(row, place) for every row.
template <class F>
void for_each_row(const std::vector<std::int64_t>& places, std::int64_t cost, F&& f) {
  const auto count = static_cast<std::int64_t>(places.size());
  parallel_for((count + kBlock - 1) / kBlock, kBlock * cost, [&](std::int64_t block) {
    const std::int64_t end = std::min(count, (block + 1) * kBlock);
    for (std::int64_t r = block * kBlock; r < end; ++r) f(r, places[static_cast<std::size_t>(r)]);
  });
}

}  // namespace

void expect_sequences(const Module& layer, const Shape& x, std::int64_t channels) {
  if (x.rank() == 3 && (channels == 0 || x[1] == channels)) return;
  const std::string wanted = channels == 0 ? std::string("C") : std::to_string(channels);
  if (x.rank() == 3) {
    fail<ShapeError>(
        "[{}] expected sequences [N, {}, T], got {} with {} values per step; let the layer before "
        "give {}",
        layer.label(), wanted, x.str(), x[1], channels);
  }
  fail<ShapeError>("[{}] expected sequences [N, {}, T], got {}; give it values of steps",
                   layer.label(), wanted, x.str());
}

void expect_float(const Module& layer, const Tensor& x) {
  const DType dtype = x.dtype();
  if (dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16) return;
  fail<ShapeError>("[{}] expected f32, f64 or bf16 elements, got {}; convert them with to()",
                   layer.label(), name_of(x.dtype()));
}

std::vector<std::int64_t> valid_steps(const Module& layer, const Shape& x) {
  const std::int64_t n = x[0];
  const std::int64_t steps = x[2];
  std::vector<std::int64_t> valid(static_cast<std::size_t>(n), steps);
  if (layer.lengths().given()) {
    const auto given = layer.lengths().values();
    valid.assign(given.begin(), given.end());
  }
  if (static_cast<std::int64_t>(valid.size()) != n) {
    fail<ShapeError>(
        "[{}] expected one length for each of the {} sequences of {}, got {} lengths; set_lengths "
        "for every batch",
        layer.label(), n, x.str(), valid.size());
  }
  for (std::size_t i = 0; i < valid.size(); ++i) {
    if (valid[i] < 0 || valid[i] > steps) {
      fail<ShapeError>(
          "[{}] expected lengths from 0 to the {} steps of {}, got {} for sequence {}; lengths "
          "count the steps before the padding, and no layer before may change the steps",
          layer.label(), steps, x.str(), valid[i], i);
    }
  }
  if (n > 0 && std::ranges::all_of(valid, [](std::int64_t length) { return length == 0; })) {
    fail<ShapeError>(
        "[{}] expected a sequence of at least one step, got {} sequences without any; leave such a "
        "batch out",
        layer.label(), n);
  }
  return valid;
}

SequenceRows::SequenceRows(std::vector<std::int64_t> valid, std::int64_t steps, RowOrder order)
    : valid_(std::move(valid)), steps_(steps) {
  const auto rows = std::accumulate(valid_.begin(), valid_.end(), std::int64_t{0});
  places_.reserve(static_cast<std::size_t>(rows));
  order == RowOrder::by_step ? order_by_step() : order_by_sequence();
}

void SequenceRows::order_by_sequence() {
  for (std::size_t i = 0; i < valid_.size(); ++i) {
    spans_.push_back({count(), valid_[i]});
    for (std::int64_t t = 0; t < valid_[i]; ++t) {
      places_.push_back(static_cast<std::int64_t>(i) * steps_ + t);
    }
  }
}

void SequenceRows::order_by_step() {
  std::vector<std::size_t> order(valid_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return valid_[i]; });
  auto running = static_cast<std::int64_t>(order.size());
  for (std::int64_t t = 0;; ++t) {
    while (running > 0 && valid_[order[static_cast<std::size_t>(running - 1)]] <= t) --running;
    if (running == 0) break;
    spans_.push_back({count(), running});
    for (std::int64_t r = 0; r < running; ++r) {
      places_.push_back(static_cast<std::int64_t>(order[static_cast<std::size_t>(r)]) * steps_ + t);
    }
  }
  mirrored_.reserve(places_.size());
  for (std::size_t t = 0; t < spans_.size(); ++t) {
    for (std::int64_t r = 0; r < spans_[t].running; ++r) {
      const auto last = valid_[order[static_cast<std::size_t>(r)]] - 1;
      mirrored_.push_back(spans_[static_cast<std::size_t>(last) - t].begin + r);
    }
  }
}

SequenceRows SequenceRows::of_mask(const Module& layer, const Tensor& mask, const Shape& x) {
  const Shape wanted{x[0], x[2]};
  if (mask.shape() != wanted || mask.dtype() != DType::u8) {
    fail<ShapeError>(
        "[{}] expected a mask {} of u8 for {}, got {} of {}; set_mask for every batch, and no "
        "layer "
        "before may change the steps",
        layer.label(), wanted.str(), x.str(), mask.shape().str(), name_of(mask.dtype()));
  }
  SequenceRows rows;
  rows.steps_ = x[2];
  const std::uint8_t* const keep = mask.data<std::uint8_t>();
  for (std::int64_t n = 0; n < x[0]; ++n) {
    const std::int64_t begin = rows.count();
    for (std::int64_t place = n * rows.steps_; place < (n + 1) * rows.steps_; ++place) {
      if (keep[place] != 0) rows.places_.push_back(place);
    }
    rows.valid_.push_back(rows.count() - begin);
    rows.spans_.push_back({begin, rows.valid_.back()});
  }
  if (mask.numel() > 0 && rows.count() == 0) {
    fail<ShapeError>(
        "[{}] expected a mask that keeps at least one step, got {} zeros; leave such a "
        "batch out",
        layer.label(), mask.numel());
  }
  return rows;
}

Tensor SequenceRows::gather(const Tensor& x) const {
  Tensor rows = Tensor::empty({count(), x.dim(1)}, x.dtype());
  gather_into(x, rows);
  return rows;
}

void SequenceRows::gather_into(const Tensor& x, Tensor& rows) const {
  const std::int64_t channels = x.dim(1);
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    T* const to = rows.data<T>();
    const std::int64_t steps = steps_;
    const bool last = x.layout() == Layout::channels_last;
    for_each_row(places_, channels, [=](std::int64_t r, std::int64_t place) {
      if (last) {
        std::copy_n(from + place * channels, channels, to + r * channels);
        return;
      }
      const T* source = from + place / steps * channels * steps + place % steps;
      for (std::int64_t c = 0; c < channels; ++c) to[r * channels + c] = source[c * steps];
    });
  });
}

Tensor SequenceRows::scatter(const Tensor& rows, Layout layout) const {
  Tensor x = Tensor::empty(shape(rows.dim(1)), rows.dtype(), layout);
  scatter_into(rows, x);
  return x;
}

void SequenceRows::scatter_into(const Tensor& rows, Tensor& x) const {
  const std::int64_t channels = rows.dim(1);
  if (rows.numel() < x.numel()) x.fill(0);
  with_dtype(rows.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = rows.data<T>();
    T* const to = x.data<T>();
    const std::int64_t steps = steps_;
    const bool last = x.layout() == Layout::channels_last;
    for_each_row(places_, channels, [=](std::int64_t r, std::int64_t place) {
      if (last) {
        std::copy_n(from + r * channels, channels, to + place * channels);
        return;
      }
      T* target = to + place / steps * channels * steps + place % steps;
      for (std::int64_t c = 0; c < channels; ++c) target[c * steps] = from[r * channels + c];
    });
  });
}

Tensor SequenceRows::reversed(const Tensor& rows) const {
  const std::int64_t channels = rows.dim(1);
  Tensor result = Tensor::like(rows);
  with_dtype(rows.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = rows.data<T>();
    T* const to = result.data<T>();
    for_each_row(mirrored_, channels, [=](std::int64_t r, std::int64_t other) {
      std::copy_n(from + other * channels, channels, to + r * channels);
    });
  });
  return result;
}

}  // namespace evenkeel::nn
