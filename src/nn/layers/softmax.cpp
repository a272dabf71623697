#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/layers/checks.h"
#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/nn/layers/softmax.h>

namespace evenkeel::nn {
namespace {

/// `outer` rows of `count` elements that lie `inner` apart, `inner` of them side by side.
struct Rows {
  std::int64_t outer = 1, count = 1, inner = 1;
};

Rows rows_of(const Shape& shape, std::int64_t dim, bool to_end) {
  if (dim < 0) dim += shape.rank();
  Rows rows;
  for (int d = 0; d < shape.rank(); ++d) {
    if (d < dim) {
      rows.outer *= shape[d];
    } else if (d == dim || to_end) {
      rows.count *= shape[d];
    } else {
      rows.inner *= shape[d];
    }
  }
  return rows;
}

/// f(first element) for each row.
template <class F>
void for_each(const Rows& rows, F&& f) {
  parallel_for(rows.outer * rows.inner, rows.count, [&](std::int64_t i) {
    f(i / rows.inner * rows.count * rows.inner + i % rows.inner);
  });
}

}  // namespace

Shape Softmax::output_shape(const Shape& input) const {
  if (dim_ < -input.rank() || dim_ >= input.rank()) {
    fail<ShapeError>("[{}] there is no dimension {} in {}", label(), dim_, input.str());
  }
  return input;
}

Tensor Softmax::forward(const Tensor& x) {
  const Rows rows = rows_of(output_shape(x.shape()), dim_, to_end_);
  expect_float(*this, x);
  const Tensor from = x.to(Layout::channels_first);
  Tensor y = Tensor::like(from);
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const in = from.data<T>();
    T* const out = y.data<T>();
    for_each(rows, [&](std::int64_t first) {
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t k = 0; k < rows.count; ++k) {
        largest = std::max(largest, in_double(in[first + k * rows.inner]));
      }
      double sum = 0;
      for (std::int64_t k = 0; k < rows.count; ++k) {
        sum += std::exp(in_double(in[first + k * rows.inner]) - largest);
      }
      for (std::int64_t k = 0; k < rows.count; ++k) {
        const std::int64_t i = first + k * rows.inner;
        out[i] = stored<T>(std::exp(in_double(in[i]) - largest) / sum);
      }
    });
  });
  Tensor result = y.to(x.layout());
  if (recording()) saved_.push({std::move(y), x.layout()});
  return result;
}

Tensor Softmax::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, saved.y.shape(), saved.y.dtype(), Layout::channels_first);
  const Rows rows = rows_of(saved.y.shape(), dim_, to_end_);
  Tensor dx = Tensor::like(saved.y);
  with_dtype(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const y = std::as_const(saved.y).data<T>();
    const T* const g = gradient.data<T>();
    T* const out = dx.data<T>();
    for_each(rows, [&](std::int64_t first) {
      double dot = 0;
      for (std::int64_t k = 0; k < rows.count; ++k) {
        const std::int64_t i = first + k * rows.inner;
        dot += in_double(y[i]) * in_double(g[i]);
      }
      for (std::int64_t k = 0; k < rows.count; ++k) {
        const std::int64_t i = first + k * rows.inner;
        out[i] = stored<T>(in_double(y[i]) * (in_double(g[i]) - dot));
      }
    });
  });
  dx = dx.to(saved.layout);
  saved_.pop();
  return dx;
}

LayerRow softmax_row() {
  return {"Softmax",
          "exp(x) as a share of its sum over a dimension: dim (-1), to_end",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<Softmax>(options.get("dim", std::int64_t{-1}),
                                             options.get("to_end", false));
          },
          {{{}, {3, 4}},
           {{{"dim", std::int64_t{1}}}, {2, 3, 2, 2}},
           {{{"dim", std::int64_t{1}}, {"to_end", true}}, {2, 2, 3}}}};
}

}  // namespace evenkeel::nn
