#include <evenkeel/core/error.h>
#include <evenkeel/core/shape.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

namespace evenkeel {

Shape::Shape(std::initializer_list<std::int64_t> dims)
    : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) {
  if (dims.size() > kMaxRank) {
    fail<ShapeError>("[shape] expected at most {} dimensions, got {}", kMaxRank, dims.size());
  }
  rank_ = static_cast<int>(dims.size());
  // A zero anywhere makes the product zero, but the rest must still not overflow: strides are
  // computed from it.
  std::int64_t product = 1;
  bool empty = false;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] < 0) {
      fail<ShapeError>("[shape] expected extents of 0 or more, got [{}]", fmt::join(dims, ", "));
    }
    dims_[i] = dims[i];
    if (dims[i] == 0) {
      empty = true;
    } else if (product > std::numeric_limits<std::int64_t>::max() / dims[i]) {
      fail<ShapeError>("[shape] the number of elements of [{}] does not fit 63 bits",
                       fmt::join(dims, ", "));
    } else {
      product *= dims[i];
    }
  }
  numel_ = empty ? 0 : product;
}

std::int64_t Shape::operator[](int i) const {
  const int index = i < 0 ? i + rank_ : i;
  if (index < 0 || index >= rank_) {
    fail<ShapeError>("[shape] dimension {} does not exist in {}", i, str());
  }
  return dims_[static_cast<std::size_t>(index)];
}

Shape Shape::with(int i, std::int64_t extent) const {
  (void)(*this)[i];
  auto dims = dims_;
  dims[static_cast<std::size_t>(i < 0 ? i + rank_ : i)] = extent;
  return Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(rank_)));
}

Shape Shape::drop(int first) const {
  return Shape(dims().subspan(static_cast<std::size_t>(std::min(first, rank_))));
}

std::string Shape::str() const { return fmt::format("[{}]", fmt::join(dims(), ", ")); }

bool Shape::operator==(const Shape& other) const {
  return std::ranges::equal(dims(), other.dims());
}

}  // namespace evenkeel
