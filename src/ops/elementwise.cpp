#include "ops/check.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::ops {
namespace {

constexpr std::int64_t kBlock = 16 * 1024;

template <class T>
void sum_into(const T* a, const T* b, T* y, std::int64_t count) {
  parallel_ranges(count, kBlock, [&](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep  // in place or apart
    for (std::int64_t i = begin; i < end; ++i) y[i] = stored<T>(widened(a[i]) + widened(b[i]));
  });
}

}  // namespace

void add(const Tensor& a, const Tensor& b, Tensor& y) {
  detail::check_stored("add", "a", a);
  detail::check_matches("add", "b", b, a);
  detail::check_matches("add", "y", y, a);
  detail::check_in_place_or_apart("add", {"y", y}, {{"a", a}, {"b", b}});
  detail::visit_stored(a, [&](auto zero) {
    using T = decltype(zero);
    sum_into(a.data<T>(), b.data<T>(), y.data<T>(), a.numel());
  });
}

void accumulate(const Tensor& a, Tensor& y) {
  detail::check_stored("accumulate", "a", a);
  detail::check_matches("accumulate", "y", y, a);
  detail::check_in_place_or_apart("accumulate", {"y", y}, {{"a", a}});
  detail::visit_stored(a, [&](auto zero) {
    using T = decltype(zero);
    sum_into<T>(a.data<T>(), y.data<T>(), y.data<T>(), a.numel());
  });
}

}  // namespace evenkeel::ops
