// Shared by the tests of the norm room: an independent oracle and short ways to run the operators.
#pragma once

#include <evenkeel/core/memory.h>
#include <evenkeel/core/random.h>
#include <evenkeel/norm/batch_norm.h>

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

namespace evenkeel::norm::testing {

/// Values of a channel's (n, s) in logical order, whatever the layout.
inline std::int64_t offset(const Tensor& t, std::int64_t n, std::int64_t c, std::int64_t s) {
  const auto d = channel_dims(t.shape(), "test");
  return t.layout() == Layout::channels_first ? (n * d.c + c) * d.s + s : (n * d.s + s) * d.c + c;
}

/// The exact function of a tensor's values, in long double: what the operators are compared with.
struct Oracle {
  std::vector<double> y, dx, dgamma, dbeta, mean, var;  // y, dx in logical [N, C, S] order

  Oracle(const Tensor& x, const Tensor& dy, const std::vector<double>& gamma,
         const std::vector<double>& beta, double eps) {
    const auto d = channel_dims(x.shape(), "test");
    const Tensor xd = x.to(DType::f64), dyd = dy.to(DType::f64);
    y.resize(static_cast<std::size_t>(x.numel()));
    dx.resize(y.size());
    const auto m = static_cast<long double>(d.n * d.s);
    for (std::int64_t c = 0; c < d.c; ++c) {
      const auto at = [&](const Tensor& t, std::int64_t n, std::int64_t s) {
        return static_cast<long double>(t.data<double>()[offset(t, n, c, s)]);
      };
      long double sum = 0, square = 0, g = 0, gx = 0;
      for_each(d, [&](std::int64_t n, std::int64_t s) { sum += at(xd, n, s); });
      const long double mu = sum / m;
      for_each(d, [&](std::int64_t n, std::int64_t s) {
        square += (at(xd, n, s) - mu) * (at(xd, n, s) - mu);
      });
      const long double sigma2 = square / m;
      const long double inv = 1 / std::sqrt(sigma2 + static_cast<long double>(eps));
      for_each(d, [&](std::int64_t n, std::int64_t s) {
        g += at(dyd, n, s);
        gx += at(dyd, n, s) * (at(xd, n, s) - mu) * inv;
      });
      const auto k = static_cast<std::size_t>(c);
      for_each(d, [&](std::int64_t n, std::int64_t s) {
        const long double hat = (at(xd, n, s) - mu) * inv;
        const auto i = static_cast<std::size_t>((n * d.c + c) * d.s + s);
        y[i] = static_cast<double>(static_cast<long double>(gamma[k]) * hat +
                                   static_cast<long double>(beta[k]));
        dx[i] = static_cast<double>(static_cast<long double>(gamma[k]) * inv *
                                    (at(dyd, n, s) - g / m - hat * gx / m));
      });
      mean.push_back(static_cast<double>(mu));
      var.push_back(static_cast<double>(sigma2));
      dgamma.push_back(static_cast<double>(gx));
      dbeta.push_back(static_cast<double>(g));
    }
  }

 private:
  template <class F>
  static void for_each(const ChannelDims& d, F&& f) {
    for (std::int64_t n = 0; n < d.n; ++n) {
      for (std::int64_t s = 0; s < d.s; ++s) f(n, s);
    }
  }
};

/// One batch norm with its memory; every output is poisoned with NaN first.
struct BatchNormCall {
  Tensor x, gamma, beta;
  Epilogue epilogue;
  double eps = 1e-5;
  std::shared_ptr<std::byte> state_memory, workspace_memory;
  BatchNormState state;
  std::span<std::byte> workspace;

  BatchNormCall(Tensor input, Tensor g, Tensor b, Epilogue after = {}, double epsilon = 1e-5)
      : x(std::move(input)),
        gamma(std::move(g)),
        beta(std::move(b)),
        epilogue(after),
        eps(epsilon) {
    const auto in = in_view();
    const std::size_t bytes = state_size(in, epilogue);
    state_memory = allocate(bytes);
    state = bind_state({state_memory.get(), bytes}, in, epilogue);
    const std::size_t scratch = workspace_size(in);
    workspace_memory = allocate(scratch);
    std::memset(workspace_memory.get(), 0xff, scratch);  // NaN
    workspace = {workspace_memory.get(), scratch};
  }

  ConstChannelView in_view() const { return view(x); }
  Affine affine() const { return {ConstVectorView(gamma), ConstVectorView(beta)}; }
  Tensor poisoned() const { return Tensor::full(x.shape(), NAN, x.dtype(), x.layout()); }

  Tensor forward(RunningStats* running = nullptr) {
    Tensor y = poisoned();
    forward_train(in_view(), affine(), eps, running, epilogue, view(y), state, workspace);
    return y;
  }

  struct Gradients {
    Tensor dx, dgamma, dbeta, dadd;
  };
  Gradients backward(const Tensor& dy, bool train = true) {
    const DType sums = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
    Gradients g{poisoned(), Tensor::zeros({x.dim(1)}, sums), Tensor::zeros({x.dim(1)}, sums),
                Tensor()};
    std::optional<ChannelView> dadd;
    if (epilogue.add) {
      g.dadd = poisoned();
      dadd = view(g.dadd);
    }
    const auto run = train ? backward_train : backward_infer;
    run(in_view(), view(std::as_const(dy)), affine(), state, epilogue, view(g.dx),
        VectorView(g.dgamma), VectorView(g.dbeta), dadd, workspace);
    return g;
  }
};

inline Tensor random_normal(const Shape& shape, std::uint64_t seed, double mean, double stddev,
                            DType dtype = DType::f32, Layout layout = Layout::channels_first) {
  Tensor t = Tensor::empty(shape, DType::f64, layout);
  Random(seed).fill_normal(t.span<double>(), mean, stddev);
  return t.to(dtype);
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && a.dtype() == b.dtype() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

}  // namespace evenkeel::norm::testing
