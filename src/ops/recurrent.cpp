// As in activation.cpp: comparisons inside loops vectorize only so, and values are the same.
#pragma GCC optimize("no-trapping-math")

#include <algorithm>

#include "ops/check.h"
#include "ops/column_sums.h"
#include "ops/vector_math.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/ops/recurrent.h>

namespace evenkeel::ops {
namespace {

constexpr std::int64_t kGateCost = 16;  // a gate's activation in elementwise steps

struct Sizes {
  std::int64_t rows, units;
};

/// n and H of gates [n, parts·H].
Sizes check_gates(std::string_view op, const Tensor& gates, std::int64_t parts) {
  detail::check_float(op, "gates", gates);
  if (gates.rank() != 2 || gates.dim(1) % parts != 0) {
    fail<ShapeError>("[{}] expected gates of shape [n, {}*H], got {}", op, parts,
                     gates.shape().str());
  }
  return {gates.dim(0), gates.dim(1) / parts};
}

void check_optional(std::string_view op, std::string_view name, const Tensor& tensor,
                    const Shape& shape, const Tensor& like) {
  if (tensor.defined()) detail::check_is(op, name, tensor, shape, like);
}

template <class T>
const T* data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}
template <class T>
T* data_or_null(Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

template <class T>
void lstm_cell_row(std::int64_t units, T* gates, const T* c_prev, T* c) {
  T* const i = gates;
  T* const f = gates + units;
  T* const g = gates + 2 * units;
  T* const o = gates + 3 * units;
  for (std::int64_t k = 0; k < 2 * units; ++k) i[k] = detail::sigmoid(i[k]);
  for (std::int64_t k = 0; k < units; ++k) g[k] = detail::tanh(g[k]);
  for (std::int64_t k = 0; k < units; ++k) o[k] = detail::sigmoid(o[k]);
  if (c_prev == nullptr) {
    for (std::int64_t k = 0; k < units; ++k) c[k] = i[k] * g[k];
  } else {
    for (std::int64_t k = 0; k < units; ++k) c[k] = f[k] * c_prev[k] + i[k] * g[k];
  }
}

template <class T>
void lstm_cell_gradient_row(std::int64_t units, const T* gates, const T* c_prev, const T* dc,
                            T* dgates, T* dc_prev) {
  const T* const i = gates;
  const T* const f = gates + units;
  const T* const g = gates + 2 * units;
  const T one{1};
  for (std::int64_t k = 0; k < units; ++k) dgates[k] = dc[k] * g[k] * (i[k] * (one - i[k]));
  for (std::int64_t k = 0; k < units; ++k) {
    const T before = c_prev == nullptr ? T{0} : c_prev[k];
    dgates[units + k] = dc[k] * before * (f[k] * (one - f[k]));
  }
  for (std::int64_t k = 0; k < units; ++k) {
    dgates[2 * units + k] = dc[k] * i[k] * (one - g[k] * g[k]);
  }
  if (dc_prev == nullptr) return;
  for (std::int64_t k = 0; k < units; ++k) dc_prev[k] += dc[k] * f[k];
}

template <class T>
void gru_cell_row(std::int64_t units, T* gates, const T* hidden, const T* h_prev, T* h) {
  T* const r = gates;
  T* const z = gates + units;
  T* const n = gates + 2 * units;
  for (std::int64_t k = 0; k < 2 * units; ++k) r[k] = detail::sigmoid(r[k] + hidden[k]);
  for (std::int64_t k = 0; k < units; ++k) {
    n[k] = detail::tanh(n[k] + r[k] * hidden[2 * units + k]);
  }
  for (std::int64_t k = 0; k < units; ++k) {
    const T before = h_prev == nullptr ? T{0} : h_prev[k];
    h[k] = n[k] + z[k] * (before - n[k]);
  }
}

template <class T>
void gru_cell_gradient_row(std::int64_t units, const T* gates, const T* hidden, const T* h_prev,
                           const T* dh, T* dgates, T* dhidden, T* dh_prev) {
  const T* const r = gates;
  const T* const z = gates + units;
  const T* const n = gates + 2 * units;
  const T one{1};
  for (std::int64_t k = 0; k < units; ++k) {
    const T before = h_prev == nullptr ? T{0} : h_prev[k];
    const T dz = dh[k] * (before - n[k]) * (z[k] * (one - z[k]));
    const T dn = dh[k] * (one - z[k]) * (one - n[k] * n[k]);
    const T dr = dn * hidden[2 * units + k] * (r[k] * (one - r[k]));
    dgates[k] = dr;
    dgates[units + k] = dz;
    dgates[2 * units + k] = dn;
    dhidden[k] = dr;
    dhidden[units + k] = dz;
    dhidden[2 * units + k] = dn * r[k];
  }
  if (dh_prev == nullptr) return;
  for (std::int64_t k = 0; k < units; ++k) dh_prev[k] += dh[k] * z[k];
}

}  // namespace

void lstm_cell_forward(Tensor& gates, const Tensor& c_prev, Tensor& c) {
  const char* const op = "lstm_cell_forward";
  const auto [n, h] = check_gates(op, gates, 4);
  check_optional(op, "c_prev", c_prev, Shape{n, h}, gates);
  detail::check_is(op, "c", c, Shape{n, h}, gates);
  detail::check_apart(op, {"c", c}, {{"gates", gates}, {"c_prev", c_prev}});
  detail::check_apart(op, {"gates", gates}, {{"c_prev", c_prev}});
  detail::visit_float(gates, [&, h = h, n = n](auto zero) {
    using T = decltype(zero);
    T* const gate = gates.data<T>();
    const T* const before = data_or_null<T>(c_prev);
    T* const out = c.data<T>();
    parallel_for(n, 4 * h * kGateCost, [&](std::int64_t r) {
      lstm_cell_row(h, gate + r * 4 * h, before == nullptr ? nullptr : before + r * h, out + r * h);
    });
  });
}

void lstm_output_forward(const Tensor& gates, const Tensor& c, Tensor& tanh_c, Tensor& h) {
  const char* const op = "lstm_output_forward";
  const auto [n, units] = check_gates(op, gates, 4);
  const Shape shape{n, units};
  detail::check_is(op, "c", c, shape, gates);
  detail::check_is(op, "tanh_c", tanh_c, shape, gates);
  detail::check_is(op, "h", h, shape, gates);
  detail::check_in_place_or_apart(op, {"tanh_c", tanh_c}, {{"c", c}});
  detail::check_apart(op, {"tanh_c", tanh_c}, {{"gates", gates}});
  detail::check_apart(op, {"h", h}, {{"gates", gates}, {"c", c}, {"tanh_c", tanh_c}});
  detail::visit_float(gates, [&, n = n, units = units](auto zero) {
    using T = decltype(zero);
    const T* const output = gates.data<T>() + 3 * units;
    const T* const cell = c.data<T>();
    T* const squashed = tanh_c.data<T>();
    T* const out = h.data<T>();
    parallel_for(n, units * kGateCost, [&](std::int64_t r) {
      const T* const o = output + r * 4 * units;
      for (std::int64_t k = r * units; k < (r + 1) * units; ++k) {
        squashed[k] = detail::tanh(cell[k]);
        out[k] = o[k - r * units] * squashed[k];
      }
    });
  });
}

void lstm_output_backward(const Tensor& gates, const Tensor& tanh_c, const Tensor& dh,
                          Tensor& dgates, Tensor& dc) {
  const char* const op = "lstm_output_backward";
  const auto [n, units] = check_gates(op, gates, 4);
  const Shape shape{n, units};
  detail::check_is(op, "tanh_c", tanh_c, shape, gates);
  detail::check_is(op, "dh", dh, shape, gates);
  detail::check_is(op, "dgates", dgates, gates.shape(), gates);
  detail::check_is(op, "dc", dc, shape, gates);
  detail::check_apart(op, {"dgates", dgates},
                      {{"gates", gates}, {"tanh_c", tanh_c}, {"dh", dh}, {"dc", dc}});
  detail::check_apart(op, {"dc", dc}, {{"gates", gates}, {"tanh_c", tanh_c}});
  detail::check_in_place_or_apart(op, {"dc", dc}, {{"dh", dh}});
  detail::visit_float(gates, [&, n = n, units = units](auto zero) {
    using T = decltype(zero);
    const T* const output = gates.data<T>() + 3 * units;
    const T* const squashed = tanh_c.data<T>();
    const T* const upstream = dh.data<T>();
    T* const doutput = dgates.data<T>() + 3 * units;
    T* const dcell = dc.data<T>();
    parallel_for(n, 4 * units, [&](std::int64_t r) {
      for (std::int64_t k = 0; k < units; ++k) {
        const T o = output[r * 4 * units + k];
        const T s = squashed[r * units + k];
        const T g = upstream[r * units + k];
        doutput[r * 4 * units + k] = g * s * (o * (T{1} - o));
        dcell[r * units + k] = g * o * (T{1} - s * s);
      }
    });
  });
}

void lstm_cell_backward(const Tensor& gates, const Tensor& c_prev, const Tensor& dc, Tensor& dgates,
                        Tensor& dc_prev) {
  const char* const op = "lstm_cell_backward";
  const auto [n, h] = check_gates(op, gates, 4);
  const Shape shape{n, h};
  check_optional(op, "c_prev", c_prev, shape, gates);
  detail::check_is(op, "dc", dc, shape, gates);
  detail::check_is(op, "dgates", dgates, gates.shape(), gates);
  check_optional(op, "dc_prev", dc_prev, shape, gates);
  detail::check_apart(op, {"dgates", dgates},
                      {{"gates", gates}, {"c_prev", c_prev}, {"dc", dc}, {"dc_prev", dc_prev}});
  detail::check_apart(op, {"dc_prev", dc_prev}, {{"gates", gates}, {"c_prev", c_prev}, {"dc", dc}});
  detail::visit_float(gates, [&, n = n, h = h](auto zero) {
    using T = decltype(zero);
    const T* const gate = gates.data<T>();
    const T* const before = data_or_null<T>(c_prev);
    const T* const upstream = dc.data<T>();
    T* const out = dgates.data<T>();
    T* const earlier = data_or_null<T>(dc_prev);
    parallel_for(n, 8 * h, [&](std::int64_t r) {
      lstm_cell_gradient_row(h, gate + r * 4 * h, before == nullptr ? nullptr : before + r * h,
                             upstream + r * h, out + r * 4 * h,
                             earlier == nullptr ? nullptr : earlier + r * h);
    });
  });
}

void gru_cell_forward(Tensor& gates, const Tensor& hidden, const Tensor& h_prev, Tensor& h) {
  const char* const op = "gru_cell_forward";
  const auto [n, units] = check_gates(op, gates, 3);
  detail::check_is(op, "hidden", hidden, gates.shape(), gates);
  check_optional(op, "h_prev", h_prev, Shape{n, units}, gates);
  detail::check_is(op, "h", h, Shape{n, units}, gates);
  detail::check_apart(op, {"gates", gates}, {{"hidden", hidden}, {"h_prev", h_prev}, {"h", h}});
  detail::check_apart(op, {"h", h}, {{"hidden", hidden}, {"h_prev", h_prev}});
  detail::visit_float(gates, [&, n = n, units = units](auto zero) {
    using T = decltype(zero);
    T* const gate = gates.data<T>();
    const T* const part = hidden.data<T>();
    const T* const before = data_or_null<T>(h_prev);
    T* const out = h.data<T>();
    parallel_for(n, 3 * units * kGateCost, [&](std::int64_t r) {
      gru_cell_row(units, gate + r * 3 * units, part + r * 3 * units,
                   before == nullptr ? nullptr : before + r * units, out + r * units);
    });
  });
}

void gru_cell_backward(const Tensor& gates, const Tensor& hidden, const Tensor& h_prev,
                       const Tensor& dh, Tensor& dgates, Tensor& dhidden, Tensor& dh_prev) {
  const char* const op = "gru_cell_backward";
  const auto [n, units] = check_gates(op, gates, 3);
  const Shape shape{n, units};
  detail::check_is(op, "hidden", hidden, gates.shape(), gates);
  check_optional(op, "h_prev", h_prev, shape, gates);
  detail::check_is(op, "dh", dh, shape, gates);
  detail::check_is(op, "dgates", dgates, gates.shape(), gates);
  detail::check_is(op, "dhidden", dhidden, gates.shape(), gates);
  check_optional(op, "dh_prev", dh_prev, shape, gates);
  detail::check_apart(op, {"dgates", dgates},
                      {{"gates", gates}, {"hidden", hidden}, {"h_prev", h_prev}, {"dh", dh}});
  detail::check_apart(op, {"dhidden", dhidden},
                      {{"gates", gates}, {"h_prev", h_prev}, {"dh", dh}, {"dgates", dgates}});
  detail::check_in_place_or_apart(op, {"dhidden", dhidden}, {{"hidden", hidden}});
  detail::check_apart(op, {"dh_prev", dh_prev},
                      {{"gates", gates}, {"hidden", hidden}, {"h_prev", h_prev}, {"dh", dh}});
  detail::check_apart(op, {"dh_prev", dh_prev}, {{"dgates", dgates}, {"dhidden", dhidden}});
  detail::visit_float(gates, [&, n = n, units = units](auto zero) {
    using T = decltype(zero);
    const T* const gate = gates.data<T>();
    const T* const part = hidden.data<T>();
    const T* const before = data_or_null<T>(h_prev);
    const T* const upstream = dh.data<T>();
    T* const out = dgates.data<T>();
    T* const out_hidden = dhidden.data<T>();
    T* const earlier = data_or_null<T>(dh_prev);
    parallel_for(n, 8 * units, [&](std::int64_t r) {
      gru_cell_gradient_row(units, gate + r * 3 * units, part + r * 3 * units,
                            before == nullptr ? nullptr : before + r * units, upstream + r * units,
                            out + r * 3 * units, out_hidden + r * 3 * units,
                            earlier == nullptr ? nullptr : earlier + r * units);
    });
  });
}

void broadcast_rows(const Tensor& row, Tensor& y) {
  const char* const op = "broadcast_rows";
  detail::check_float(op, "y", y);
  if (y.rank() != 2) fail<ShapeError>("[{}] expected y [n, C], got {}", op, y.shape().str());
  check_optional(op, "row", row, Shape{y.dim(1)}, y);
  detail::check_apart(op, {"y", y}, {{"row", row}});
  const std::int64_t columns = y.dim(1);
  detail::visit_float(y, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = data_or_null<T>(row);
    T* const to = y.data<T>();
    parallel_for(y.dim(0), columns, [&](std::int64_t r) {
      if (from == nullptr) {
        std::fill_n(to + r * columns, columns, T{0});
      } else {
        std::copy_n(from, columns, to + r * columns);
      }
    });
  });
}

void accumulate_row_sums(const Tensor& x, Tensor& sums) {
  const char* const op = "accumulate_row_sums";
  detail::check_float(op, "x", x);
  if (x.rank() != 2) fail<ShapeError>("[{}] expected x [n, C], got {}", op, x.shape().str());
  detail::check_is(op, "sums", sums, Shape{x.dim(1)}, x);
  detail::check_apart(op, {"sums", sums}, {{"x", x}});
  detail::visit_float(x, [&](auto zero) {
    using T = decltype(zero);
    detail::accumulate_column_sums(x.data<T>(), x.dim(0), x.dim(1), sums.data<T>());
  });
}

}  // namespace evenkeel::ops
