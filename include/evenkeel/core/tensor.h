// A dense tensor with shared ownership of its memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>

#include <evenkeel/core/dtype.h>
#include <evenkeel/core/error.h>
#include <evenkeel/core/layout.h>
#include <evenkeel/core/memory.h>
#include <evenkeel/core/shape.h>

namespace evenkeel {

class Recomputation;

/// A handle: copies share memory, clone() does not. Elements are contiguous in the order of the
/// layout. The shape is always logical, [N, C, spatial...], whatever the layout; below rank 3 the
/// two layouts are the same memory. Memory begins on a 64-byte boundary (slices on an element's).
class Tensor {
 public:
  Tensor() = default;

  /// Uninitialized.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32,
                      Layout layout = Layout::channels_first);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32,
                      Layout layout = Layout::channels_first);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
                     Layout layout = Layout::channels_first);
  /// Like `other` in shape, dtype and layout, uninitialized.
  static Tensor like(const Tensor& other) {
    return empty(other.shape_, other.dtype_, other.layout_);
  }
  /// A copy of `values`, which lie in the order of `layout`. Throws ShapeError if the count
  /// differs.
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape,
                     Layout layout = Layout::channels_first) {
    Tensor result = empty(shape, dtype_of_v<T>, layout);
    result.assign(values.data(), values.size());
    return result;
  }
  template <class T>
  static Tensor from(std::initializer_list<T> values, const Shape& shape,
                     Layout layout = Layout::channels_first) {
    return from(std::span<const T>(values.begin(), values.size()), shape, layout);
  }

  /// False for a default-constructed tensor only; a tensor with zero elements is defined.
  bool defined() const { return defined_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  std::int64_t dim(int i) const { return shape_[i]; }
  std::int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return dtype_; }
  Layout layout() const { return layout_; }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype_); }

  void* raw() {
    mark_written();
    return data_;
  }
  const void* raw() const { return data_; }
  /// The elements; throws ShapeError where T is not the dtype.
  template <class T>
  T* data() {
    check_dtype(dtype_of_v<T>);
    mark_written();
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  const T* data() const {
    check_dtype(dtype_of_v<T>);
    return reinterpret_cast<const T*>(data_);
  }
  template <class T>
  std::span<T> span() {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  /// The single element of a tensor with one, as a double.
  double item() const;

  /// A view of samples [begin, end) of the first dimension.
  Tensor slice(std::int64_t begin, std::int64_t end) const;
  /// A view with another shape of as many elements, channels first. Of a channels-last tensor whose
  /// memory order differs only [N, C, spatial...] with other spatial dimensions, channels last (use
  /// to(Layout::channels_first) first).
  Tensor reshape(const Shape& shape) const;
  /// An independent copy.
  Tensor clone() const;
  /// This tensor where nothing changes, else a converted copy.
  Tensor to(DType dtype) const;
  Tensor to(Layout layout) const;

  /// Overwrites the elements; shapes must be equal. Converts dtype and layout.
  void copy_from(const Tensor& source);
  void fill(double value);

  /// Whether no other handle or view has this memory: whoever was given the handle may write over
  /// it.
  bool unique() const { return owner_.use_count() == 1; }

  /// How the elements can be had a second time, for whoever would otherwise keep them; null where
  /// nobody said, and once the elements may have been written since, through this handle, a copy or
  /// a view. Copies of the handle know it too, views and conversions do not.
  std::shared_ptr<const Recomputation> recomputation() const {
    return written_ != nullptr && written_->load() ? nullptr : recomputation_;
  }
  void set_recomputation(std::shared_ptr<const Recomputation> how) {
    recomputation_ = std::move(how);
    written_ = recomputation_ == nullptr ? nullptr : std::make_shared<std::atomic<bool>>(false);
  }

 private:
  void check_dtype(DType wanted) const {
    if (wanted != dtype_) {
      fail<ShapeError>("[tensor] expected elements of type {}, got {}", name_of(wanted),
                       name_of(dtype_));
    }
  }
  void assign(const void* source, std::size_t count);
  /// Several threads may ask one handle for its elements.
  void mark_written() {
    if (written_ != nullptr) written_->store(true);
  }

  std::shared_ptr<std::byte> owner_;
  std::byte* data_ = nullptr;
  Shape shape_{0};
  DType dtype_ = DType::f32;
  Layout layout_ = Layout::channels_first;
  bool defined_ = false;
  std::shared_ptr<const Recomputation> recomputation_;  // of handles of the whole, not of views
  std::shared_ptr<std::atomic<bool>> written_;  // since there is a recomputation; of views as well
};

/// Computes a tensor again that was given up, with the same bits.
class Recomputation : public std::enable_shared_from_this<Recomputation> {
 public:
  Recomputation() = default;
  virtual ~Recomputation() = default;
  Recomputation(const Recomputation&) = delete;
  Recomputation& operator=(const Recomputation&) = delete;

  /// Where more than one owner waits for it, the result stays for the others: each tensor is
  /// computed again once.
  Tensor tensor() const;

 private:
  virtual Tensor compute() const = 0;

  mutable Tensor result_;
};

/// [N, C, spatial...] seen as N samples of C channels of S positions; [N, C] has S = 1.
struct ChannelDims {
  std::int64_t n = 0, c = 0, s = 0;
};
/// Throws ShapeError below rank 2, naming `where`.
ChannelDims channel_dims(const Shape& shape, std::string_view where);

}  // namespace evenkeel
