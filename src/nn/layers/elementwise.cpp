#include "nn/layers/checks.h"
#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/nn/layers/elementwise.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {

Elementwise::Elementwise(Operation operation, const Shape& shape, ElementwiseOptions options)
    : operation_(operation), options_(options) {
  const bool product = operation_ == Operation::product;
  if (options_.learned) {
    register_parameter("weight", shape, product ? ParameterKind::norm_scale : ParameterKind::bias);
    parameter(0).value.fill(product ? 1 : 0);
  } else {
    register_buffer("weight", Tensor::full(shape, product ? 1 : 0));
  }
}

Options Elementwise::options() const {
  const Shape shape = weight().shape();
  const auto dims = shape.dims();
  return {{"shape", std::vector<std::int64_t>(dims.begin(), dims.end())},
          {"learned", options_.learned}};
}

Tensor Elementwise::weight() const { return options_.learned ? parameter(0).value : buffer(0); }

Tensor Elementwise::weight_like(DType dtype) const { return weight().to(parameter_dtype(dtype)); }

Shape Elementwise::output_shape(const Shape& input) const {
  const Shape shape = weight().shape();
  const int missing = input.rank() - shape.rank();
  bool fits = missing >= 0;
  for (int d = 0; fits && d < shape.rank(); ++d) {
    fits = shape[d] == 1 || shape[d] == input[missing + d];
  }
  if (!fits) {
    fail<ShapeError>("[{}] expected {} at the end of the shape, 1 standing for any extent, got {}",
                     label(), shape.str(), input.str());
  }
  return input;
}

Tensor Elementwise::forward(const Tensor& x) {
  output_shape(x.shape());
  expect_float(*this, x);
  if (options_.learned) expect_dtype(*this, x, parameter(0));
  const Tensor from = x.to(Layout::channels_first);
  const Tensor w = weight_like(x.dtype());
  Tensor y = Tensor::like(from);
  const OffsetMap map = OffsetMap::broadcast(x.shape(), w.shape());
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const in = from.data<T>();
    const auto* const weights = w.data<Arithmetic<T>>();
    T* const out = y.data<T>();
    const bool product = operation_ == Operation::product;
    map.for_each_row([&](std::int64_t first, std::int64_t base, auto last) {
      for (std::size_t i = 0; i < last.size(); ++i) {
        const std::int64_t at = first + static_cast<std::int64_t>(i);
        const auto weight = weights[base + last[i]];
        out[at] = stored<T>(product ? widened(in[at]) * weight : widened(in[at]) + weight);
      }
    });
  });
  y = y.to(x.layout());
  if (recording()) {
    const bool keeps = operation_ == Operation::product && options_.learned;
    saved_.push({keeps ? from : Tensor(), x.shape(), x.dtype(), x.layout()});
  }
  return y;
}

Tensor Elementwise::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, saved.shape, saved.dtype, Layout::channels_first);
  const bool product = operation_ == Operation::product;
  const Tensor w = weight_like(saved.dtype);
  const OffsetMap map = OffsetMap::broadcast(saved.shape, w.shape());
  Tensor dweight;
  if (options_.learned) {
    Tensor parts = gradient;
    if (product) {
      parts = Tensor::empty(gradient.shape(), w.dtype());
      with_dtype(saved.dtype, [&](auto zero) {
        using T = decltype(zero);
        const auto x = std::as_const(saved.x).span<T>(), g = gradient.span<T>();
        const auto products = parts.span<Arithmetic<T>>();
        for (std::size_t i = 0; i < g.size(); ++i) products[i] = widened(x[i]) * widened(g[i]);
      });
    }
    dweight = Tensor::empty(w.shape(), w.dtype());
    sum_elements(map, parts, 1, dweight);
  }
  Tensor dx;
  if (needs_input_gradient()) {
    dx = product ? Tensor::like(gradient) : gradient;
    if (product) {
      with_dtype(saved.dtype, [&](auto zero) {
        using T = decltype(zero);
        const T* const g = gradient.data<T>();
        const auto* const weights = w.data<Arithmetic<T>>();
        T* const out = dx.data<T>();
        map.for_each_row([&](std::int64_t first, std::int64_t base, auto last) {
          for (std::size_t i = 0; i < last.size(); ++i) {
            const std::int64_t at = first + static_cast<std::int64_t>(i);
            out[at] = stored<T>(widened(g[at]) * weights[base + last[i]]);
          }
        });
      });
    }
    dx = dx.to(saved.layout);
  }
  if (options_.learned) ops::accumulate(dweight, parameter(0).grad);
  saved_.pop();
  return dx;
}

void Elementwise::reset_parameters(Random& /*random*/) {
  if (options_.learned) parameter(0).value.fill(operation_ == Operation::product ? 1 : 0);
}

namespace {

template <class Layer>
LayerRow row_of(std::string name, std::string help) {
  const std::vector<std::int64_t> one, per_channel{3, 1, 1}, per_position{2, 1, 4};
  return {std::move(name),
          std::move(help),
          [](const Options& options) -> std::unique_ptr<Module> {
            const auto dims = options.get("shape", std::vector<std::int64_t>{});
            return std::make_unique<Layer>(Shape(std::span<const std::int64_t>(dims)),
                                           ElementwiseOptions{options.get("learned", true)});
          },
          {{{{"shape", per_channel}}, {2, 3, 2, 2}},
           {{{"shape", per_position}}, {2, 2, 3, 4}},
           {{{"shape", per_channel}, {"learned", false}}, {2, 3, 2, 2}}}};
}

}  // namespace

LayerRow scale_row() {
  return row_of<Scale>("Scale",
                       "x times a weight: shape (aligned to the last dimensions), learned");
}

LayerRow shift_row() {
  return row_of<Shift>("Shift", "x plus a weight: shape (aligned to the last dimensions), learned");
}

}  // namespace evenkeel::nn
