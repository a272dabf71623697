#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <evenkeel/core/error.h>
#include <evenkeel/core/stored.h>
#include <evenkeel/train/percentiles.h>

namespace evenkeel::train {
namespace {

void check(std::span<const double> which) {
  for (const double p : which) {
    if (!(p >= 0 && p <= 100)) {
      fail<UsageError>("[percentiles] expected percentiles from 0 to 100, got {}", p);
    }
  }
}

void check(DType dtype) {
  if (dtype != DType::f32 && dtype != DType::f64 && dtype != DType::bf16) {
    fail<UsageError>("[percentiles] expected values of f32, f64 or bf16, got {}; convert them",
                     name_of(dtype));
  }
}

/// Between two neighbours, which may be infinite.
double between(double low, double high, double part) {
  if (low == high || part == 0) return low;
  // From the nearer end, as numpy does: the result is monotonic in `part`.
  return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
}

/// Reorders the values: each percentile needs only its place sorted, and those above it look at the
/// values behind that alone.
template <class T>
std::vector<double> select(std::vector<T>& values, std::span<const double> which) {
  std::vector<double> result(which.size(), std::numeric_limits<double>::quiet_NaN());
  const auto is_nan = [](T value) { return std::isnan(value); };
  if (values.empty() || std::ranges::any_of(values, is_nan)) return result;
  std::vector<std::size_t> order(which.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return which[i]; });
  auto sorted = values.begin();  // nothing before it is larger than what it points to
  for (const std::size_t i : order) {
    const double place = static_cast<double>(values.size() - 1) * (which[i] / 100);
    const double whole = std::floor(place);
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(whole);
    std::nth_element(sorted, at, values.end());
    const auto next = at + 1 == values.end() ? at : std::min_element(at + 1, values.end());
    result[i] = between(static_cast<double>(*at), static_cast<double>(*next), place - whole);
    sorted = at;
  }
  return result;
}

}  // namespace

std::vector<double> percentiles(std::vector<double> values, std::span<const double> which) {
  check(which);
  return select(values, which);
}

std::vector<double> percentiles(const Tensor& values, std::span<const double> which) {
  check(which);
  check(values.dtype());
  return with_dtype(values.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto all = values.span<T>();
    std::vector<Arithmetic<T>> copy(all.size());
    std::ranges::transform(all, copy.begin(), [](T value) { return widened(value); });
    return select(copy, which);
  });
}

std::vector<double> percentiles_of_unit(const Tensor& values, std::int64_t unit,
                                        std::span<const double> which) {
  check(which);
  check(values.dtype());
  const ChannelDims dims = channel_dims(values.shape(), "percentiles");
  if (unit < 0 || unit >= dims.c) {
    fail<ShapeError>("[percentiles] expected a unit of {} in dimension 1 of {}, got number {}",
                     dims.c, values.shape().str(), unit);
  }
  const bool first = values.layout() == Layout::channels_first;
  return with_dtype(values.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const all = values.data<T>();
    std::vector<Arithmetic<T>> copy;
    copy.reserve(static_cast<std::size_t>(dims.n * dims.s));
    for (std::int64_t n = 0; n < dims.n; ++n) {
      for (std::int64_t s = 0; s < dims.s; ++s) {
        const std::int64_t at =
            first ? (n * dims.c + unit) * dims.s + s : (n * dims.s + s) * dims.c + unit;
        copy.push_back(widened(all[at]));
      }
    }
    return select(copy, which);
  });
}

}  // namespace evenkeel::train
