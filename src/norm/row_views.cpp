#include <evenkeel/core/error.h>
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::norm {
namespace {

/// Products of the dimensions before and of the last `axes`.
struct Rows {
  std::int64_t rows = 1, length = 1;
};

Rows rows_of(const Tensor& tensor, int axes) {
  const int rank = tensor.rank();
  if (axes < 1 || axes > rank) {
    fail<ShapeError>("[row_norm] expected a tensor of at least {} dimensions, got {}",
                     std::max(axes, 1), tensor.shape().str());
  }
  Rows result;
  for (int i = 0; i < rank; ++i) {
    (i < rank - axes ? result.rows : result.length) *= tensor.dim(i);
  }
  if (rank < 3 || tensor.layout() == Layout::channels_first) return result;
  const auto [n, c, s] = channel_dims(tensor.shape(), "row_norm");
  if (c > 1 && s > 1) {
    fail<ShapeError>(
        "[row_norm] expected rows that lie together, got the last {} dimensions of {} "
        "channels last; convert it to channels first",
        axes, tensor.shape().str());
  }
  return result;
}

std::int64_t channels_per_group(std::int64_t channels, std::int64_t groups) {
  if (groups < 1 || channels % groups != 0) {
    fail<ShapeError>(
        "[group_norm] expected channels divisible by the number of groups, got {} "
        "channels and {} groups; choose a divisor of {}",
        channels, groups, channels);
  }
  return channels / groups;
}

}  // namespace

ConstRowView row_view(const void* data, DType dtype, std::int64_t rows, std::int64_t length) {
  return {data, dtype, Layout::channels_first, rows, 1, length, 1};
}

RowView row_view(void* data, DType dtype, std::int64_t rows, std::int64_t length) {
  return {data, dtype, Layout::channels_first, rows, 1, length, 1};
}

ConstRowView row_view(const Tensor& tensor, int axes) {
  const auto [rows, length] = rows_of(tensor, axes);
  return row_view(tensor.raw(), tensor.dtype(), rows, length);
}

RowView row_view(Tensor& tensor, int axes) {
  const auto [rows, length] = rows_of(tensor, axes);
  return row_view(tensor.raw(), tensor.dtype(), rows, length);
}

ConstRowView group_view(const ConstChannelView& x, std::int64_t groups) {
  return {x.data, x.dtype, x.layout, x.n, groups, channels_per_group(x.c, groups), x.s};
}

RowView group_view(const ChannelView& x, std::int64_t groups) {
  return {x.data, x.dtype, x.layout, x.n, groups, channels_per_group(x.c, groups), x.s};
}

}  // namespace evenkeel::norm
