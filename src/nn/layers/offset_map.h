// Where the elements of one tensor lie in another, for layers that move, repeat or sum elements.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <evenkeel/core/parallel.h>
#include <evenkeel/core/shape.h>
#include <evenkeel/core/stored.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::nn {

/// One table per dimension of a tensor: element [i, j, …] belongs to the element of the other
/// tensor at table 0[i] + table 1[j] + …, in channels-first order, or to none where one of them is
/// kNowhere.
class OffsetMap {
 public:
  using Table = std::vector<std::int64_t>;
  static constexpr std::int64_t kNowhere = -1;

  explicit OffsetMap(std::vector<Table> tables);
  /// Elements keep their place along every dimension, except those of extent 1 in `part` where
  /// `whole` has more: these are repeated. part is aligned to whole's last dimensions.
  static OffsetMap broadcast(const Shape& whole, const Shape& part);

  /// f(first, base, last) for each row along the last dimension, in parallel: `first` is the row's
  /// first element, which belongs to base + last[0], the next one to base + last[1]; base is
  /// kNowhere for a row that belongs nowhere.
  template <class F>
  void for_each_row(F&& f) const {
    const auto width = static_cast<std::int64_t>(last_.size());
    parallel_for(rows_, width, [&](std::int64_t row) { f(row * width, base_of(row), last()); });
  }
  /// The same, in order.
  template <class F>
  void for_each_row_in_order(F&& f) const {
    const auto width = static_cast<std::int64_t>(last_.size());
    for (std::int64_t row = 0; row < rows_; ++row) f(row * width, base_of(row), last());
  }

 private:
  std::span<const std::int64_t> last() const { return last_; }
  std::int64_t base_of(std::int64_t row) const;

  std::vector<Table> outer_;
  Table last_;
  std::int64_t rows_ = 1;
};

/// Distances between neighbours along each dimension, channels first.
std::vector<std::int64_t> strides_of(const Shape& shape);

/// y[i] = x[where i belongs], or `fill`.
void take_elements(const OffsetMap& map, const Tensor& x, double fill, Tensor& y);
/// Overwrites total with the sums over all i that belong to each element, times `factor`; taken in
/// double, whatever the dtypes.
void sum_elements(const OffsetMap& map, const Tensor& x, double factor, Tensor& total);

}  // namespace evenkeel::nn
