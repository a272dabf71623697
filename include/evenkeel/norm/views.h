// Non-owning views, so that a program without evenkeel's Tensor can call the kernels.
#pragma once

#include <evenkeel/core/tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace evenkeel::norm {

/// Activations as N samples of C channels of S positions, f32, bf16 or f64. channels_first: element
/// (n, c, s) at (n·C + c)·S + s; channels_last: at (n·S + s)·C + c. [N, C] is S = 1 in either. The data
/// lie on an element's boundary; no more is asked of the address.
struct ConstChannelView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  Layout layout = Layout::channels_first;
  std::int64_t n = 0, c = 0, s = 0;

  std::int64_t numel() const { return n * c * s; }
  /// Values per channel.
  std::int64_t count() const { return n * s; }
};

struct ChannelView {
  void* data = nullptr;
  DType dtype = DType::f32;
  Layout layout = Layout::channels_first;
  std::int64_t n = 0, c = 0, s = 0;

  operator ConstChannelView() const { return {data, dtype, layout, n, c, s}; }
};

/// Of a tensor [N, C, spatial...]; ShapeError below rank 2.
ConstChannelView view(const Tensor& tensor);
ChannelView view(Tensor& tensor);

/// One value per channel, f32 or f64, or none at all: γ, β.
class ConstVectorView {
 public:
  ConstVectorView() = default;
  ConstVectorView(std::span<const float> values) : f32_(values.data()), size_(values.size()) {}
  ConstVectorView(std::span<const double> values) : f64_(values.data()), size_(values.size()) {}
  /// Of a tensor of rank 1; an undefined tensor gives an empty view.
  explicit ConstVectorView(const Tensor& tensor);

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  const void* data() const { return f32_ != nullptr ? static_cast<const void*>(f32_) : f64_; }
  /// The values where they are f32, else null.
  const float* f32() const { return f32_; }
  double operator[](std::int64_t i) const {
    return f32_ != nullptr ? static_cast<double>(f32_[i]) : f64_[i];
  }

 private:
  const float* f32_ = nullptr;
  const double* f64_ = nullptr;
  std::size_t size_ = 0;
};

/// One accumulator per channel: dγ, dβ.
class VectorView {
 public:
  VectorView() = default;
  VectorView(std::span<float> values) : f32_(values.data()), size_(values.size()) {}
  VectorView(std::span<double> values) : f64_(values.data()), size_(values.size()) {}
  explicit VectorView(Tensor& tensor);

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  const void* data() const { return f32_ != nullptr ? static_cast<const void*>(f32_) : f64_; }
  void add(std::int64_t i, double value) {
    if (f32_ != nullptr) {
      f32_[i] = static_cast<float>(static_cast<double>(f32_[i]) + value);
    } else {
      f64_[i] += value;
    }
  }

 private:
  float* f32_ = nullptr;
  double* f64_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace evenkeel::norm
