// Shared by the tests of the row geometry: an independent oracle and a short way to run the
// operators.
#pragma once

#include <vector>

#include "support.h"
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::norm::testing {

/// The forms of a row, and how γ and β belong to them.
struct RowForm {
  Layout layout = Layout::channels_first;
  std::int64_t n = 1, groups = 1, channels = 1, s = 1;

  std::int64_t rows() const { return n * groups; }
  std::int64_t length() const { return channels * s; }
  std::int64_t parameters() const { return groups * channels; }
  std::int64_t numel() const { return rows() * length(); }
  Shape shape() const { return {n, parameters(), s}; }
  /// Of element (n, group, channel of the group, position).
  std::int64_t at(std::int64_t i, std::int64_t g, std::int64_t c, std::int64_t p) const {
    return layout == Layout::channels_first ? ((i * groups + g) * channels + c) * s + p
                                            : ((i * s + p) * groups + g) * channels + c;
  }
  std::string str() const {
    return fmt::format("[{}, {}x{}, {}] {}", n, groups, channels, s, name_of(layout));
  }
  ConstRowView view(const void* data, DType dtype) const {
    return {data, dtype, layout, n, groups, channels, s};
  }
  RowView view(void* data, DType dtype) const {
    return {data, dtype, layout, n, groups, channels, s};
  }
};

inline RowForm elements(std::int64_t rows, std::int64_t length) {
  return {Layout::channels_first, rows, 1, length, 1};
}
inline RowForm grouped(Layout layout, std::int64_t n, std::int64_t groups, std::int64_t channels,
                       std::int64_t s) {
  return {layout, n, groups, channels, s};
}

/// The exact function of a tensor's values, in long double. y and dx lie in memory as x does.
struct RowOracle {
  std::vector<double> y, dx, dgamma, dbeta, mean, var;
  /// |γx̂| + |β| of each value, and Σ|dy·x̂|, Σ|dy| of each parameter: what errors are measured by.
  std::vector<double> size, dgamma_size, dbeta_size;

  RowOracle(const RowForm& form, const Tensor& x, const Tensor& dy,
            const std::vector<double>& gamma, const std::vector<double>& beta, double eps,
            Centre centre = Centre::mean) {
    const Tensor xd = x.to(DType::f64), dyd = dy.to(DType::f64);
    for (auto* values : {&y, &dx, &size}) values->resize(static_cast<std::size_t>(form.numel()));
    for (auto* values : {&dgamma, &dbeta, &dgamma_size, &dbeta_size}) {
      values->resize(static_cast<std::size_t>(form.parameters()));
    }
    for (std::int64_t n = 0; n < form.n; ++n) {
      for (std::int64_t g = 0; g < form.groups; ++g)
        row(form, n, g, xd, dyd, gamma, beta, eps, centre);
    }
  }

 private:
  void row(const RowForm& form, std::int64_t n, std::int64_t g, const Tensor& x, const Tensor& dy,
           const std::vector<double>& gamma, const std::vector<double>& beta, double eps,
           Centre centre) {
    const auto count = static_cast<long double>(form.length());
    const auto each = [&](auto&& f) {
      for (std::int64_t c = 0; c < form.channels; ++c) {
        for (std::int64_t p = 0; p < form.s; ++p) {
          const auto i = static_cast<std::size_t>(form.at(n, g, c, p));
          const auto k = static_cast<std::size_t>(g * form.channels + c);
          f(i, k, static_cast<long double>(x.span<double>()[i]),
            static_cast<long double>(dy.span<double>()[i]));
        }
      }
    };
    using Real = long double;
    Real mu = 0, square = 0, mean_g = 0, mean_gx = 0;
    if (centre == Centre::mean) {
      each([&](std::size_t, std::size_t, Real v, Real) { mu += v / count; });
      Real rest = 0;
      each([&](std::size_t, std::size_t, Real v, Real) { rest += (v - mu) / count; });
      mu += rest;
    }
    each([&](std::size_t, std::size_t, Real v, Real) { square += (v - mu) * (v - mu) / count; });
    const Real total = square + static_cast<Real>(eps);
    const Real inv = total > 0 ? 1 / std::sqrt(total) : 0;
    each([&](std::size_t, std::size_t k, Real v, Real d) {
      const Real weighted = static_cast<Real>(gamma[k]) * d;
      if (centre == Centre::mean) mean_g += weighted / count;
      mean_gx += weighted * (v - mu) * inv / count;
    });
    each([&](std::size_t i, std::size_t k, Real v, Real d) {
      const Real hat = (v - mu) * inv;
      const auto scaled = static_cast<double>(static_cast<Real>(gamma[k]) * hat);
      y[i] = static_cast<double>(static_cast<Real>(gamma[k]) * hat + static_cast<Real>(beta[k]));
      size[i] = std::abs(scaled) + std::abs(beta[k]);
      dx[i] = static_cast<double>(inv * (static_cast<Real>(gamma[k]) * d - mean_g - hat * mean_gx));
      dgamma[k] += static_cast<double>(d * hat);
      dbeta[k] += static_cast<double>(d);
      dgamma_size[k] += static_cast<double>(std::abs(d * hat));
      dbeta_size[k] += static_cast<double>(std::abs(d));
    });
    mean.push_back(static_cast<double>(mu));
    var.push_back(static_cast<double>(square));
  }
};

/// One row norm with its memory; every output is poisoned with NaN first. The activations are flat
/// tensors in the order of `form`.
struct RowCall {
  RowForm form;
  Tensor x, gamma, beta;
  RowNorm norm;
  std::shared_ptr<std::byte> state_memory, workspace_memory;
  RowNormState state;
  std::span<std::byte> workspace;

  RowCall(const RowForm& rows, Tensor input, Tensor g, Tensor b, RowNorm settings = {})
      : form(rows), x(std::move(input)), gamma(std::move(g)), beta(std::move(b)), norm(settings) {
    const std::size_t bytes = row_state_size(in());
    state_memory = allocate(bytes);
    if (bytes > 0) std::memset(state_memory.get(), 0xff, bytes);
    state = bind_row_state({state_memory.get(), bytes}, in());
    const std::size_t scratch = row_workspace_size(in());
    workspace_memory = allocate(scratch);
    if (scratch > 0) std::memset(workspace_memory.get(), 0xff, scratch);  // NaN
    workspace = {workspace_memory.get(), scratch};
  }

  ConstRowView in() const { return form.view(x.raw(), x.dtype()); }
  ConstRowView like(const Tensor& tensor) const { return form.view(tensor.raw(), tensor.dtype()); }
  RowView out(Tensor& tensor) const { return form.view(tensor.raw(), tensor.dtype()); }
  Affine affine() const { return {ConstVectorView(gamma), ConstVectorView(beta)}; }
  Tensor poisoned() const { return Tensor::full({form.numel()}, NAN, x.dtype()); }

  Tensor forward() {
    Tensor y = poisoned();
    forward_rows(in(), affine(), norm, out(y), &state, workspace);
    return y;
  }

  struct Gradients {
    Tensor dx, dgamma, dbeta;
  };
  Gradients backward(const Tensor& dy) {
    const DType sums = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
    Gradients g{poisoned(), Tensor::zeros({form.parameters()}, sums),
                Tensor::zeros({form.parameters()}, sums)};
    backward_rows(in(), like(dy), affine(), state, norm.centre, out(g.dx), VectorView(g.dgamma),
                  VectorView(g.dbeta), workspace);
    return g;
  }
};

inline std::vector<double> doubles(const Tensor& t) {
  const Tensor wide = t.to(DType::f64);
  const auto values = wide.span<double>();
  return {values.begin(), values.end()};
}

/// The largest errors of a call: of y over max(1, |γx̂| + |β|), of dx over |γ|/√(σ²+ε) + |dx|, of dγ
/// and dβ over the sum of the sizes of what is added up.
struct RowErrors {
  double y = 0, dx = 0, dgamma = 0, dbeta = 0;
};

inline RowErrors errors_of(const RowForm& form, const Tensor& x, const Tensor& dy,
                           const Tensor& gamma, const Tensor& beta, RowNorm norm) {
  RowCall call(form, x, gamma, beta, norm);
  const std::vector<double> y = doubles(call.forward());
  const auto gradients = call.backward(dy);
  const std::vector<double> dx = doubles(gradients.dx);
  const std::vector<double> dgamma = doubles(gradients.dgamma), dbeta = doubles(gradients.dbeta);
  const auto count = static_cast<std::size_t>(form.parameters());
  const std::vector<double> g = gamma.defined() ? doubles(gamma) : std::vector<double>(count, 1.0);
  const std::vector<double> b = beta.defined() ? doubles(beta) : std::vector<double>(count, 0.0);
  const RowOracle oracle(form, x, dy, g, b, norm.eps, norm.centre);
  RowErrors worst;
  const auto note = [](double& most, double error) {
    if (!(error <= most)) most = std::isnan(error) ? INFINITY : error;
  };
  std::size_t row = 0;
  for (std::int64_t n = 0; n < form.n; ++n) {
    for (std::int64_t group = 0; group < form.groups; ++group, ++row) {
      const double inv = 1 / std::sqrt(oracle.var[row] + norm.eps);
      for (std::int64_t c = 0; c < form.channels; ++c) {
        const auto k = static_cast<std::size_t>(group * form.channels + c);
        for (std::int64_t p = 0; p < form.s; ++p) {
          const auto i = static_cast<std::size_t>(form.at(n, group, c, p));
          note(worst.y, std::abs(y[i] - oracle.y[i]) / std::max(1.0, oracle.size[i]));
          note(worst.dx, std::abs(dx[i] - oracle.dx[i]) /
                             (std::abs(g[k]) * inv + std::abs(oracle.dx[i]) + 1e-30));
        }
      }
    }
  }
  for (std::size_t k = 0; k < count; ++k) {
    note(worst.dgamma, std::abs(dgamma[k] - oracle.dgamma[k]) / (oracle.dgamma_size[k] + 1e-30));
    note(worst.dbeta, std::abs(dbeta[k] - oracle.dbeta[k]) / (oracle.dbeta_size[k] + 1e-30));
  }
  return worst;
}

}  // namespace evenkeel::norm::testing
