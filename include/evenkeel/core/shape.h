// The extents of a tensor.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace evenkeel {

/// Up to kMaxRank extents, none negative, whose product fits 63 bits. A value type without
/// allocation. Rank 0 is a scalar with one element.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  /// Extent of dimension i; negative i counts from the end. Throws ShapeError out of range.
  std::int64_t operator[](int i) const;
  /// Product of all extents.
  std::int64_t numel() const { return numel_; }
  std::span<const std::int64_t> dims() const {
    return {dims_.data(), static_cast<std::size_t>(rank_)};
  }
  /// The same shape with extent i replaced.
  Shape with(int i, std::int64_t extent) const;
  /// Extents from dimension `first` on.
  Shape drop(int first) const;
  /// "[2, 3, 4]"
  std::string str() const;

  bool operator==(const Shape& other) const;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
  std::int64_t numel_ = 1;
};

}  // namespace evenkeel
