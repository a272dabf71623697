#pragma GCC optimize("no-trapping-math")  // as in activation.cpp

#include <algorithm>
#include <cmath>

#include "ops/check.h"
#include "ops/onednn/gemm.h"
#include "ops/vector_math.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/ops/attention.h>

namespace evenkeel::ops {
namespace {

using Starts = std::span<const std::int64_t>;

/// A matrix or its transpose, as rows of a wider one.
template <class T>
struct Part {
  const T* data;
  std::int64_t stride;
  bool transposed = false;

  T at(std::int64_t i, std::int64_t j) const {
    return transposed ? data[j * stride + i] : data[i * stride + j];
  }
};

/// c [m, n], contiguous, = a [m, k] · b [k, n].
void multiply(const char* op, std::int64_t m, std::int64_t n, std::int64_t k, Part<float> a,
              Part<float> b, float* c) {
  onednn::gemm(op, m, n, k, {a.data, a.stride, a.transposed}, {b.data, b.stride, b.transposed}, c,
               false, nullptr);
}
void multiply(const char* /*op*/, std::int64_t m, std::int64_t n, std::int64_t k, Part<double> a,
              Part<double> b, double* c) {
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t l = 0; l < k; ++l) sum += a.at(i, l) * b.at(l, j);
      c[i * n + j] = sum;
    }
  }
}

float exp_below(float x) { return detail::exp_of_negative(x); }
double exp_below(double x) { return std::exp(x); }

/// row ← softmax(scale·row).
template <class T>
void softmax_row(T* row, std::int64_t count, T scale) {
  T largest = row[0];
  for (std::int64_t j = 1; j < count; ++j) {
    largest = row[j] > largest || row[j] != row[j] ? row[j] : largest;
  }
  double sum = 0;
  for (std::int64_t j = 0; j < count; ++j) row[j] = exp_below(scale * (row[j] - largest));
  for (std::int64_t j = 0; j < count; ++j) sum += static_cast<double>(row[j]);
  const T factor = static_cast<T>(1 / sum);
  for (std::int64_t j = 0; j < count; ++j) row[j] *= factor;
}

/// upstream ← scale·p·(upstream − Σ p·upstream): softmax and its scale, backwards.
template <class T>
void softmax_gradient_row(const T* p, T* upstream, std::int64_t count, T scale) {
  double sum = 0;
  for (std::int64_t j = 0; j < count; ++j) {
    sum += static_cast<double>(p[j]) * static_cast<double>(upstream[j]);
  }
  const T mean = static_cast<T>(sum);
  for (std::int64_t j = 0; j < count; ++j) upstream[j] = scale * p[j] * (upstream[j] - mean);
}

/// One head of one sequence, and where its parts lie.
struct Head {
  std::int64_t rows;     // L
  std::int64_t width;    // d
  std::int64_t stride;   // of qkv, 3E
  std::int64_t q, k, v;  // elements of qkv before them
  std::int64_t weights;  // elements before its own
  std::int64_t scratch;  // the same for [L, d] of each
  std::int64_t out;      // elements of y [rows, E] before its own

  template <class T>
  T scale() const {
    return static_cast<T>(1 / std::sqrt(static_cast<double>(width)));
  }
};

class Heads {
 public:
  Heads(const char* op, const Tensor& qkv, Starts starts, std::int64_t heads) : heads_(heads) {
    detail::check_float(op, "qkv", qkv);
    if (heads < 1 || qkv.rank() != 2 || qkv.dim(1) % (3 * heads) != 0) {
      fail<ShapeError>("[{}] expected qkv [rows, 3*{}*d] for {} heads, got {}", op, heads, heads,
                       qkv.shape().str());
    }
    const bool ordered = !starts.empty() && starts.front() == 0 && std::ranges::is_sorted(starts);
    if (!ordered || starts.back() != qkv.dim(0)) {
      fail<ShapeError>("[{}] expected starts that rise from 0 to the {} rows of qkv, got others",
                       op, qkv.dim(0));
    }
    starts_ = starts;
    embed_ = qkv.dim(1) / 3;
    for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
      first_weight_.push_back(weights_);
      const std::int64_t rows = starts[s + 1] - starts[s];
      weights_ += heads * rows * rows;
    }
  }

  std::int64_t weight_count() const { return weights_; }
  Shape output_shape() const { return {starts_.back(), embed_}; }

  /// Calls f(head) for every head of every sequence that is not empty.
  template <class F>
  void for_each(F&& f) const {
    const auto sequences = static_cast<std::int64_t>(first_weight_.size());
    const std::int64_t rows = sequences == 0 ? 0 : starts_.back() / sequences + 1;
    parallel_for(sequences * heads_, rows * rows * (embed_ / heads_) / 4 + 1, [&](std::int64_t i) {
      const Head head = at(static_cast<std::size_t>(i / heads_), i % heads_);
      if (head.rows > 0) f(head);
    });
  }

 private:
  Head at(std::size_t sequence, std::int64_t number) const {
    const std::int64_t begin = starts_[sequence];
    Head head{};
    head.rows = starts_[sequence + 1] - begin;
    head.width = embed_ / heads_;
    head.stride = 3 * embed_;
    head.q = begin * head.stride + number * head.width;
    head.k = head.q + embed_;
    head.v = head.k + embed_;
    head.weights = first_weight_[sequence] + number * head.rows * head.rows;
    head.scratch = begin * embed_ + number * head.rows * head.width;
    head.out = begin * embed_ + number * head.width;
    return head;
  }

  std::int64_t heads_;
  Starts starts_;
  std::int64_t embed_ = 0;
  std::int64_t weights_ = 0;
  std::vector<std::int64_t> first_weight_;
};

/// Rows [rows, width] that lie together, into rows `stride` apart.
template <class T>
void spread(const T* from, const Head& head, std::int64_t stride, T* to) {
  for (std::int64_t r = 0; r < head.rows; ++r) {
    std::copy_n(from + r * head.width, head.width, to + r * stride);
  }
}

void check_weights(const char* op, const Tensor& weights, const Heads& heads, const Tensor& qkv,
                   const char* name = "weights") {
  detail::check_is(op, name, weights, Shape{heads.weight_count()}, qkv);
}

}  // namespace

std::int64_t attention_weight_count(Starts starts, std::int64_t heads) {
  std::int64_t count = 0;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    const std::int64_t rows = starts[s + 1] - starts[s];
    count += heads * rows * rows;
  }
  return count;
}

void attention_weights(const Tensor& qkv, Starts starts, std::int64_t heads, Tensor& weights) {
  const char* const op = "attention_weights";
  const Heads all(op, qkv, starts, heads);
  check_weights(op, weights, all, qkv);
  detail::check_apart(op, {"weights", weights}, {{"qkv", qkv}});
  detail::visit_float(qkv, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = qkv.data<T>();
    T* const to = weights.data<T>();
    all.for_each([&](const Head& h) {
      T* const p = to + h.weights;
      multiply(op, h.rows, h.rows, h.width, Part<T>{from + h.q, h.stride},
               Part<T>{from + h.k, h.stride, true}, p);
      for (std::int64_t r = 0; r < h.rows; ++r) {
        softmax_row(p + r * h.rows, h.rows, h.template scale<T>());
      }
    });
  });
}

void attention_mix(const Tensor& weights, const Tensor& qkv, Starts starts, std::int64_t heads,
                   Tensor& y) {
  const char* const op = "attention_mix";
  const Heads all(op, qkv, starts, heads);
  check_weights(op, weights, all, qkv);
  detail::check_is(op, "y", y, all.output_shape(), qkv);
  detail::check_apart(op, {"y", y}, {{"weights", weights}, {"qkv", qkv}});
  Tensor scratch = Tensor::like(y);
  detail::visit_float(qkv, [&](auto zero) {
    using T = decltype(zero);
    const T* const p = weights.data<T>();
    const T* const from = qkv.data<T>();
    T* const to = y.data<T>();
    T* const mixed = scratch.data<T>();
    all.for_each([&](const Head& h) {
      multiply(op, h.rows, h.width, h.rows, Part<T>{p + h.weights, h.rows},
               Part<T>{from + h.v, h.stride}, mixed + h.scratch);
      spread(mixed + h.scratch, h, h.stride / 3, to + h.out);
    });
  });
}

void attention_mix_backward(const Tensor& weights, const Tensor& qkv, const Tensor& dy,
                            Starts starts, std::int64_t heads, Tensor& dweights, Tensor& dqkv) {
  const char* const op = "attention_mix_backward";
  const Heads all(op, qkv, starts, heads);
  check_weights(op, weights, all, qkv);
  check_weights(op, dweights, all, qkv, "dweights");
  detail::check_is(op, "dy", dy, all.output_shape(), qkv);
  detail::check_is(op, "dqkv", dqkv, qkv.shape(), qkv);
  detail::check_apart(op, {"dweights", dweights},
                      {{"weights", weights}, {"qkv", qkv}, {"dy", dy}, {"dqkv", dqkv}});
  detail::check_apart(op, {"dqkv", dqkv}, {{"weights", weights}, {"qkv", qkv}, {"dy", dy}});
  Tensor scratch = Tensor::like(dy);
  detail::visit_float(qkv, [&](auto zero) {
    using T = decltype(zero);
    const T* const p = weights.data<T>();
    const T* const from = qkv.data<T>();
    const T* const upstream = dy.data<T>();
    T* const dp = dweights.data<T>();
    T* const to = dqkv.data<T>();
    T* const dv = scratch.data<T>();
    all.for_each([&](const Head& h) {
      const Part<T> gradient{upstream + h.out, h.stride / 3};
      multiply(op, h.rows, h.rows, h.width, gradient, Part<T>{from + h.v, h.stride, true},
               dp + h.weights);
      multiply(op, h.rows, h.width, h.rows, Part<T>{p + h.weights, h.rows, true}, gradient,
               dv + h.scratch);
      spread(dv + h.scratch, h, h.stride, to + h.v);
    });
  });
}

void attention_weights_backward(const Tensor& weights, const Tensor& qkv, Tensor& dweights,
                                Starts starts, std::int64_t heads, Tensor& dqkv) {
  const char* const op = "attention_weights_backward";
  const Heads all(op, qkv, starts, heads);
  check_weights(op, weights, all, qkv);
  check_weights(op, dweights, all, qkv, "dweights");
  detail::check_is(op, "dqkv", dqkv, qkv.shape(), qkv);
  detail::check_apart(op, {"dweights", dweights},
                      {{"weights", weights}, {"qkv", qkv}, {"dqkv", dqkv}});
  detail::check_apart(op, {"dqkv", dqkv}, {{"weights", weights}, {"qkv", qkv}});
  Tensor scratch = Tensor::empty(all.output_shape(), qkv.dtype());
  detail::visit_float(qkv, [&](auto zero) {
    using T = decltype(zero);
    const T* const p = weights.data<T>();
    const T* const from = qkv.data<T>();
    T* const dp = dweights.data<T>();
    T* const to = dqkv.data<T>();
    T* const part = scratch.data<T>();
    all.for_each([&](const Head& h) {
      T* const ds = dp + h.weights;
      for (std::int64_t r = 0; r < h.rows; ++r) {
        softmax_gradient_row(p + h.weights + r * h.rows, ds + r * h.rows, h.rows,
                             h.template scale<T>());
      }
      multiply(op, h.rows, h.width, h.rows, Part<T>{ds, h.rows}, Part<T>{from + h.k, h.stride},
               part + h.scratch);
      spread(part + h.scratch, h, h.stride, to + h.q);
      multiply(op, h.rows, h.width, h.rows, Part<T>{ds, h.rows, true},
               Part<T>{from + h.q, h.stride}, part + h.scratch);
      spread(part + h.scratch, h, h.stride, to + h.k);
    });
  });
}

}  // namespace evenkeel::ops
