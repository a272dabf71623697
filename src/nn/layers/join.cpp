#include "nn/layers/join.h"

#include <evenkeel/ops/elementwise.h>

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

}  // namespace evenkeel::nn
