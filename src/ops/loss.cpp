#include <array>
#include <cmath>

#include "ops/check.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/ops/loss.h>

namespace evenkeel::ops {
namespace {

struct Partial {
  explicit Partial(std::int64_t count)
      : owner(allocate(static_cast<std::size_t>(count) * sizeof(double))),
        values(reinterpret_cast<double*>(owner.get())),
        size(count) {}
  /// In order, whoever computed them.
  double total() const {
    double sum = 0.0;
    for (std::int64_t i = 0; i < size; ++i) sum += values[i];
    return sum;
  }

  std::shared_ptr<std::byte> owner;
  double* values;
  std::int64_t size;
};

void check_logits(const char* op, const Tensor& logits) {
  detail::check_float(op, "logits", logits);
  if (logits.rank() != 2 || (logits.dim(1) < 1 && logits.dim(0) != 0)) {
    fail<ShapeError>("[{}] expected logits of shape [N, classes], got {}", op,
                     logits.shape().str());
  }
}

void check_labels(const char* op, std::span<const std::int32_t> labels, std::int64_t rows,
                  std::int64_t classes) {
  if (static_cast<std::int64_t>(labels.size()) != rows) {
    fail<ShapeError>("[{}] expected {} labels, one per row, got {}", op, rows, labels.size());
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes) {
      fail<ShapeError>("[{}] expected labels in [0, {}), got {} in row {}", op, classes, labels[i],
                       i);
    }
  }
}

constexpr std::int64_t kKept = 1024;  // exponentials of a row that are worth keeping on the stack

/// The largest logit of a row (NaN where there is one) and exp(x − largest), summed.
template <class T>
class RowExp {
 public:
  RowExp(const T* row, std::int64_t classes) : row_(row), largest_(static_cast<double>(row[0])) {
    for (std::int64_t j = 1; j < classes; ++j) {
      const auto value = static_cast<double>(row[j]);
      largest_ = value > largest_ || value != value ? value : largest_;
    }
    for (std::int64_t j = 0; j < classes; ++j) {
      const double e = std::exp(static_cast<double>(row[j]) - largest_);
      if (j < kKept) kept_[static_cast<std::size_t>(j)] = e;
      sum_ += e;
    }
  }
  double log_total() const { return largest_ + std::log(sum_); }
  /// Reads row[j] unless it was kept: the row may be overwritten up to j.
  double probability(std::int64_t j) const {
    const double e = j < kKept ? kept_[static_cast<std::size_t>(j)]
                               : std::exp(static_cast<double>(row_[j]) - largest_);
    return e / sum_;
  }

 private:
  const T* row_;
  double largest_;
  double sum_ = 0.0;
  std::array<double, kKept> kept_;
};

/// The loss of one row; its gradient times `scale` overwrites `gradient`, which may be the row.
template <class T>
double row_loss(const T* row, std::int64_t classes, std::int64_t label, double smoothing,
                double scale, T* gradient) {
  const RowExp<T> exps(row, classes);
  const double log_total = exps.log_total();
  double loss = (1.0 - smoothing) * (log_total - static_cast<double>(row[label]));
  const double share = smoothing / static_cast<double>(classes);
  if (smoothing != 0.0) {  // 0 · infinity would spoil the loss of an unused class
    double all = 0.0;
    for (std::int64_t j = 0; j < classes; ++j) all += log_total - static_cast<double>(row[j]);
    loss += share * all;
  }
  if (gradient != nullptr) {
    for (std::int64_t j = 0; j < classes; ++j) {
      const double target = share + (j == label ? 1.0 - smoothing : 0.0);
      gradient[j] = static_cast<T>((exps.probability(j) - target) * scale);
    }
  }
  return loss;
}

constexpr std::int64_t kExpCost = 8;  // an exponential in elementwise steps

}  // namespace

double softmax_cross_entropy(const Tensor& logits, std::span<const std::int32_t> labels,
                             double smoothing, Tensor* dlogits) {
  const char* const op = "softmax_cross_entropy";
  check_logits(op, logits);
  const std::int64_t rows = logits.dim(0);
  const std::int64_t classes = logits.dim(1);
  if (!(smoothing >= 0.0 && smoothing <= 1.0)) {
    fail<UsageError>("[{}] expected smoothing in [0, 1], got {}", op, smoothing);
  }
  check_labels(op, labels, rows, classes);
  const bool wanted = dlogits != nullptr && dlogits->defined();
  if (wanted) {
    detail::check_is(op, "dlogits", *dlogits, logits.shape(), logits);
    detail::check_in_place_or_apart(op, {"dlogits", *dlogits}, {{"logits", logits}});
  }
  if (rows == 0) return 0.0;
  const Partial losses(rows);
  const double scale = 1.0 / static_cast<double>(rows);
  detail::visit_float(logits, [&](auto zero) {
    using T = decltype(zero);
    const T* from = logits.data<T>();
    T* to = wanted ? dlogits->data<T>() : nullptr;
    parallel_for(rows, 2 * kExpCost * classes, [&](std::int64_t i) {
      losses.values[i] = row_loss(from + i * classes, classes, labels[static_cast<std::size_t>(i)],
                                  smoothing, scale, to == nullptr ? nullptr : to + i * classes);
    });
  });
  return losses.total() * scale;
}

void softmax(const Tensor& logits, Tensor& p) {
  const char* const op = "softmax";
  check_logits(op, logits);
  detail::check_is(op, "p", p, logits.shape(), logits);
  detail::check_in_place_or_apart(op, {"p", p}, {{"logits", logits}});
  const std::int64_t classes = logits.dim(1);
  detail::visit_float(logits, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(logits.dim(0), 2 * kExpCost * classes, [&](std::int64_t i) {
      const T* from = logits.data<T>() + i * classes;
      T* to = p.data<T>() + i * classes;
      const RowExp<T> exps(from, classes);
      for (std::int64_t j = 0; j < classes; ++j) to[j] = static_cast<T>(exps.probability(j));
    });
  });
}

double mean_squared_error(const Tensor& y, const Tensor& target, Tensor* dy) {
  const char* const op = "mean_squared_error";
  constexpr std::int64_t kBlock = 4096;
  detail::check_float(op, "y", y);
  detail::check_matches(op, "target", target, y);
  const bool wanted = dy != nullptr && dy->defined();
  if (wanted) {
    detail::check_matches(op, "dy", *dy, y);
    detail::check_in_place_or_apart(op, {"dy", *dy}, {{"y", y}, {"target", target}});
  }
  const std::int64_t count = y.numel();
  if (count == 0) return 0.0;
  const Partial sums((count + kBlock - 1) / kBlock);
  const double scale = 2.0 / static_cast<double>(count);
  detail::visit_float(y, [&](auto zero) {
    using T = decltype(zero);
    const T* a = y.data<T>();
    const T* b = target.data<T>();
    T* to = wanted ? dy->data<T>() : nullptr;
    parallel_ranges(count, kBlock, [&](std::int64_t begin, std::int64_t end) {
      double sum = 0.0;
      for (std::int64_t i = begin; i < end; ++i) {
        const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        sum += difference * difference;
        if (to != nullptr) to[i] = static_cast<T>(scale * difference);
      }
      sums.values[begin / kBlock] = sum;
    });
  });
  return sums.total() / static_cast<double>(count);
}

}  // namespace evenkeel::ops
