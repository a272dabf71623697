#include "nn/layers/join.h"

#include <algorithm>

#include "nn/layers/offset_map.h"
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/linear.h>

namespace evenkeel::nn {

Shape sum_shape(const Module& layer, std::string_view what, std::span<const Shape> parts) {
  for (const Shape& part : parts) {
    if (part != parts[0]) {
      fail<ShapeError>("[{}] expected {} of one shape to add, got {} and {}", layer.label(), what,
                       parts[0].str(), part.str());
    }
  }
  return parts[0];
}

Shape concat_shape(const Module& layer, std::string_view what, std::span<const Shape> parts) {
  std::int64_t channels = 0;
  for (const Shape& part : parts) {
    if (part.rank() < 2 || part.rank() != parts[0].rank() ||
        part.with(1, 0) != parts[0].with(1, 0)) {
      fail<ShapeError>("[{}] expected {} [N, C, spatial...] that differ in C alone, got {} and {}",
                       layer.label(), what, parts[0].str(), part.str());
    }
    channels += part[1];
  }
  return parts[0].with(1, channels);
}

Shape product_shape(const Module& layer, std::string_view what, std::span<const Shape> parts) {
  const Shape &a = parts[0], &b = parts[1];
  bool fits = a.rank() == b.rank();
  Shape result = a;
  for (int d = 0; fits && d < a.rank(); ++d) {
    fits = a[d] == b[d] || a[d] == 1 || b[d] == 1;
    if (a[d] == 1) result = result.with(d, b[d]);
  }
  if (!fits) {
    fail<ShapeError>("[{}] expected {} of one shape, or with extents of 1, got {} and {}",
                     layer.label(), what, a.str(), b.str());
  }
  return result;
}

Tensor sum(const Tensor& a, const Tensor& b) {
  Tensor y = Tensor::like(a);
  ops::add(a, b.to(a.layout()), y);
  return y;
}

Tensor concat(const Shape& shape, std::vector<Tensor> parts) {
  Tensor y = Tensor::empty(shape, parts[0].dtype(), parts[0].layout());
  for (Tensor& part : parts) part = part.to(y.layout());
  ops::concat_channels(parts, y);
  return y;
}

std::vector<Tensor> split(const Tensor& dy, std::span<const Shape> parts) {
  std::vector<Tensor> gradients;
  for (const Shape& part : parts) {
    gradients.push_back(Tensor::empty(part, dy.dtype(), dy.layout()));
  }
  ops::split_channels(dy, gradients);
  return gradients;
}

Tensor sum_of_gradients(Tensor total, Tensor part) {
  if (!total.defined()) return part;
  if (!part.defined()) return total;
  if (total.unique()) {
    ops::add(total, part.to(total.layout()), total);
    return total;
  }
  if (part.unique() && part.layout() == total.layout()) {
    ops::add(total, part, part);
    return part;
  }
  return sum(total, part);
}

Tensor product(const Shape& shape, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype()) {
    fail<ShapeError>("[Graph] expected factors of one type, got {} and {}", name_of(a.dtype()),
                     name_of(b.dtype()));
  }
  Tensor y = Tensor::empty(shape, a.dtype());
  const Tensor left = a.to(Layout::channels_first), right = b.to(Layout::channels_first);
  const OffsetMap to_left = OffsetMap::broadcast(shape, a.shape());
  const OffsetMap to_right = OffsetMap::broadcast(shape, b.shape());
  with_dtype(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = left.data<T>();
    const T* const with = right.data<T>();
    T* const to = y.data<T>();
    to_left.for_each_row([&](std::int64_t first, std::int64_t base, auto last) {
      for (std::size_t i = 0; i < last.size(); ++i) {
        to[first + static_cast<std::int64_t>(i)] = from[base + last[i]];
      }
    });
    to_right.for_each_row([&](std::int64_t first, std::int64_t base, auto last) {
      for (std::size_t i = 0; i < last.size(); ++i) {
        T& value = to[first + static_cast<std::int64_t>(i)];
        value = stored<T>(widened(value) * widened(with[base + last[i]]));
      }
    });
  });
  return y.to(a.layout());
}

Tensor factor_gradient(const Tensor& dy, const Tensor& other, const Tensor& factor) {
  const Tensor whole = product(dy.shape(), dy, other);
  if (factor.shape() == dy.shape()) return whole;
  Tensor result = Tensor::empty(factor.shape(), dy.dtype());
  sum_elements(OffsetMap::broadcast(dy.shape(), factor.shape()), whole.to(Layout::channels_first),
               1, result);
  return result.to(dy.layout());
}

namespace {

/// Each matrix of the last two dimensions transposed, channels first.
Tensor transposed(const Tensor& x) {
  const int rank = x.rank();
  const std::vector<std::int64_t> strides = strides_of(x.shape());
  std::vector<OffsetMap::Table> tables;
  Shape shape = x.shape();
  shape = shape.with(rank - 1, x.dim(rank - 2)).with(rank - 2, x.dim(rank - 1));
  for (int d = 0; d < rank; ++d) {
    const int from = d == rank - 1 ? rank - 2 : d == rank - 2 ? rank - 1 : d;
    OffsetMap::Table table;
    for (std::int64_t i = 0; i < shape[d]; ++i) {
      table.push_back(i * strides[static_cast<std::size_t>(from)]);
    }
    tables.push_back(std::move(table));
  }
  Tensor y = Tensor::empty(shape, x.dtype());
  take_elements(OffsetMap(std::move(tables)), x.to(Layout::channels_first), 0, y);
  return y;
}

/// All matrices in one row of them: [count, rows, columns].
Tensor matrices(const Tensor& x) {
  const Tensor first = x.to(Layout::channels_first);
  const std::int64_t size = x.dim(-1) * x.dim(-2);
  return first.reshape({size == 0 ? 0 : x.numel() / size, x.dim(-2), x.dim(-1)});
}

Tensor matrix(const Tensor& all, std::int64_t i) {
  return all.slice(i, i + 1).reshape(all.shape().drop(1));
}

}  // namespace

Shape matmul_shape(const Module& layer, std::string_view what, std::span<const Shape> parts) {
  const Shape &a = parts[0], &b = parts[1];
  const int rank = a.rank();
  bool fits = rank >= 2 && rank == b.rank() && a[rank - 1] == b[rank - 2];
  for (int d = 0; fits && d < rank - 2; ++d) fits = a[d] == b[d];
  if (!fits) {
    fail<ShapeError>("[{}] expected {} [..., M, K] and [..., K, P] to multiply, got {} and {}",
                     layer.label(), what, a.str(), b.str());
  }
  return a.with(rank - 1, b[rank - 1]);
}

Tensor matmul(const Shape& shape, const Tensor& a, const Tensor& b) {
  Tensor y = Tensor::zeros(shape, a.dtype());
  if (y.numel() == 0 || a.numel() == 0) return y;
  const Tensor left = matrices(a), right = matrices(transposed(b)), none;
  Tensor all = matrices(y);
  for (std::int64_t i = 0; i < left.dim(0); ++i) {
    Tensor one = matrix(all, i);
    ops::linear_forward(matrix(left, i), matrix(right, i), none, one);
  }
  return y;
}

std::pair<Tensor, Tensor> matmul_gradients(const Tensor& dy, const Tensor& a, const Tensor& b) {
  const Tensor first = dy.to(Layout::channels_first);
  return {matmul(a.shape(), first, transposed(b)), matmul(b.shape(), transposed(a), first)};
}

}  // namespace evenkeel::nn
