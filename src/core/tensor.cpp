#include <evenkeel/core/parallel.h>
#include <evenkeel/core/tensor.h>

#include <algorithm>
#include <cstring>

namespace evenkeel {
namespace {

constexpr std::int64_t kBlock = 32 * 1024;

template <class F>
decltype(auto) visit(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::bf16:
      return f(bf16{});
    case DType::i64:
      return f(std::int64_t{});
    case DType::i32:
      return f(std::int32_t{});
    case DType::u8:
      break;
  }
  return f(std::uint8_t{});
}

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, bf16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bf16>) {
    return bf16(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

/// Whether both layouts of this shape are the same memory.
bool layouts_coincide(const Shape& shape) {
  if (shape.rank() < 3 || shape.numel() == 0) return true;
  const auto [n, c, s] = channel_dims(shape, "tensor");
  return c == 1 || s == 1;
}

bool keeps_channels(const Shape& from, const Shape& to) {
  return to.rank() >= 3 && to[0] == from[0] && to[1] == from[1];
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Layout layout) {
  Tensor result;
  const auto elements = static_cast<std::size_t>(shape.numel());
  if (elements > SIZE_MAX / 2 / size_of(dtype)) {
    fail<ShapeError>("[tensor] {} elements of {} are too many", shape.str(), name_of(dtype));
  }
  result.owner_ = allocate(elements * size_of(dtype));
  result.data_ = result.owner_.get();
  result.shape_ = shape;
  result.dtype_ = dtype;
  result.layout_ = layout;
  result.defined_ = true;
  return result;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Layout layout) {
  Tensor result = empty(shape, dtype, layout);
  if (result.data_ != nullptr) std::memset(result.data_, 0, result.bytes());
  return result;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Layout layout) {
  Tensor result = empty(shape, dtype, layout);
  result.fill(value);
  return result;
}

double Tensor::item() const {
  if (numel() != 1) fail<ShapeError>("[tensor] expected one element, got {}", shape_.str());
  return visit(dtype_, [&](auto zero) {
    return convert<double>(*reinterpret_cast<const decltype(zero)*>(data_));
  });
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  if (rank() < 1 || begin < 0 || begin > end || end > dim(0)) {
    fail<ShapeError>("[tensor] slice [{}, {}) does not lie in {}", begin, end, shape_.str());
  }
  Tensor result = *this;
  result.recomputation_.reset();
  const std::int64_t row = dim(0) == 0 ? 0 : numel() / dim(0);
  if (data_ != nullptr) result.data_ = data_ + static_cast<std::size_t>(begin * row) * size_of(dtype_);
  result.shape_ = shape_.with(0, end - begin);
  return result;
}

Tensor Tensor::reshape(const Shape& shape) const {
  if (shape.numel() != numel()) {
    fail<ShapeError>("[tensor] cannot see {} as {}: the numbers of elements differ", shape_.str(),
                     shape.str());
  }
  const bool last = layout_ == Layout::channels_last && !layouts_coincide(shape_);
  if (last && !keeps_channels(shape_, shape)) {
    fail<ShapeError>(
        "[tensor] cannot see channels-last {} as {} without copying; use "
        "to(Layout::channels_first) first",
        shape_.str(), shape.str());
  }
  Tensor result = *this;
  result.recomputation_.reset();
  result.shape_ = shape;
  result.layout_ = last ? Layout::channels_last : Layout::channels_first;
  return result;
}

Tensor Tensor::clone() const {
  if (!defined_) return {};
  Tensor result = like(*this);
  result.assign(data_, static_cast<std::size_t>(numel()));
  return result;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_ || !defined_) return *this;
  Tensor result = empty(shape_, dtype, layout_);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(Layout layout) const {
  if (layout == layout_ || !defined_) return *this;
  if (layouts_coincide(shape_)) {
    Tensor result = *this;
    result.recomputation_.reset();
    result.layout_ = layout;
    return result;
  }
  Tensor result = empty(shape_, dtype_, layout);
  result.copy_from(*this);
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  if (source.shape_ != shape_) {
    fail<ShapeError>("[tensor] cannot copy {} into {}", source.shape_.str(), shape_.str());
  }
  mark_written();
  const bool transpose = source.layout_ != layout_ && !layouts_coincide(shape_);
  if (!transpose && source.dtype_ == dtype_) {
    assign(source.data_, static_cast<std::size_t>(numel()));
    return;
  }
  visit(dtype_, [&](auto to_zero) {
    visit(source.dtype_, [&](auto from_zero) {
      using To = decltype(to_zero);
      using From = decltype(from_zero);
      auto* out = reinterpret_cast<To*>(data_);
      const auto* in = reinterpret_cast<const From*>(source.data_);
      if (!transpose) {
        parallel_ranges(numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) out[i] = convert<To>(in[i]);
        });
        return;
      }
      // Each sample is a [rows, cols] matrix in the source and its transpose in the result.
      const auto [n, c, s] = channel_dims(shape_, "tensor");
      const std::int64_t rows = source.layout_ == Layout::channels_first ? c : s;
      const std::int64_t cols = source.layout_ == Layout::channels_first ? s : c;
      parallel_for(n, c * s, [&](std::int64_t sample) {
        const From* from = in + sample * rows * cols;
        To* to = out + sample * rows * cols;
        constexpr std::int64_t kTile = 16;
        for (std::int64_t r0 = 0; r0 < rows; r0 += kTile) {
          for (std::int64_t c0 = 0; c0 < cols; c0 += kTile) {
            for (std::int64_t r = r0; r < std::min(rows, r0 + kTile); ++r) {
              for (std::int64_t k = c0; k < std::min(cols, c0 + kTile); ++k) {
                to[k * rows + r] = convert<To>(from[r * cols + k]);
              }
            }
          }
        }
      });
    });
  });
}

void Tensor::fill(double value) {
  mark_written();
  visit(dtype_, [&](auto zero) {
    using T = decltype(zero);
    auto* out = reinterpret_cast<T*>(data_);
    std::fill(out, out + numel(), convert<T>(value));
  });
}

void Tensor::assign(const void* source, std::size_t count) {
  if (count != static_cast<std::size_t>(numel())) {
    fail<ShapeError>("[tensor] expected {} values for {}, got {}", numel(), shape_.str(), count);
  }
  if (count != 0) std::memmove(data_, source, bytes());  // the source may be a slice beside this one
}

Tensor Recomputation::tensor() const {
  if (result_.defined()) return result_;
  Tensor result = compute();
  if (weak_from_this().use_count() > 1) result_ = result;
  return result;
}

ChannelDims channel_dims(const Shape& shape, std::string_view where) {
  if (shape.rank() < 2) {
    fail<ShapeError>("[{}] expected [N, C] or [N, C, spatial...], got {}", where, shape.str());
  }
  return {shape[0], shape[1], shape.drop(2).numel()};
}

}  // namespace evenkeel
