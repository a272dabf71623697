#include <cmath>
#include <limits>

#include <evenkeel/core/stored.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/ops/loss.h>

namespace evenkeel::nn {
namespace {

void check_labels(std::string_view where, const Tensor& logits,
                  std::span<const std::int32_t> labels) {
  if (logits.rank() != 2) {
    fail<ShapeError>("[{}] expected logits [N, classes], got {}", where, logits.shape().str());
  }
  if (static_cast<std::int64_t>(labels.size()) != logits.dim(0)) {
    fail<ShapeError>("[{}] expected {} labels for logits {}, got {}", where, logits.dim(0),
                     logits.shape().str(), labels.size());
  }
}

double cross_entropy(double smoothing, const Tensor& logits, std::span<const std::int32_t> labels,
                     Tensor* gradient) {
  check_labels("cross_entropy", logits, labels);
  if (!(smoothing >= 0 && smoothing <= 1)) {
    fail<UsageError>("[cross_entropy] expected 0 <= label_smoothing <= 1, got {}", smoothing);
  }
  return ops::softmax_cross_entropy(logits, labels, smoothing, gradient);
}

/// The target in the dtype in which y is compared with it; others than y's are not converted.
Tensor wide_target(const Tensor& y, const Tensor& target) {
  return target.dtype() == y.dtype() ? target.to(parameter_dtype(y.dtype())) : target;
}

template <class T>
bool is_correct(const T* row, std::int64_t classes, std::int32_t label) {
  std::int64_t best = 0;
  for (std::int64_t k = 0; k < classes; ++k) {
    if (std::isnan(row[k])) return false;
    if (row[k] > row[best]) best = k;
  }
  return classes > 0 && best == label;
}

template <class T>
std::int64_t count_rows(const Tensor& logits, std::span<const std::int32_t> labels) {
  const std::int64_t classes = logits.dim(1);
  const T* row = logits.data<T>();
  std::int64_t correct = 0;
  for (const std::int32_t label : labels) {
    if (is_correct(row, classes, label)) ++correct;
    row += classes;
  }
  return correct;
}

}  // namespace

LossResult CrossEntropy::operator()(const Tensor& logits,
                                    std::span<const std::int32_t> labels) const {
  const Tensor wide = logits.to(parameter_dtype(logits.dtype()));
  LossResult result{0, Tensor::like(wide)};
  result.value = cross_entropy(label_smoothing, wide, labels, &result.gradient);
  result.gradient = result.gradient.to(logits.dtype());
  return result;
}

double CrossEntropy::value(const Tensor& logits, std::span<const std::int32_t> labels) const {
  return cross_entropy(label_smoothing, logits.to(parameter_dtype(logits.dtype())), labels,
                       nullptr);
}

LossResult MeanSquaredError::operator()(const Tensor& y, const Tensor& target) const {
  const DType dtype = parameter_dtype(y.dtype());
  const Tensor wide = y.to(dtype);
  LossResult result{0, Tensor::like(wide)};
  result.value = ops::mean_squared_error(wide, wide_target(y, target), &result.gradient);
  result.gradient = result.gradient.to(y.dtype());
  return result;
}

double MeanSquaredError::value(const Tensor& y, const Tensor& target) const {
  const DType dtype = parameter_dtype(y.dtype());
  return ops::mean_squared_error(y.to(dtype), wide_target(y, target), nullptr);
}

double negative_log(const Tensor& probabilities, std::span<const std::int32_t> labels) {
  check_labels("negative_log", probabilities, labels);
  const Tensor wide = probabilities.to(DType::f64);
  const std::int64_t classes = wide.dim(1);
  constexpr double kLeast = std::numeric_limits<float>::min();
  double sum = 0;
  const double* row = wide.data<double>();
  for (std::size_t i = 0; i < labels.size(); ++i, row += classes) {
    if (labels[i] < 0 || labels[i] >= classes) {
      fail<ShapeError>("[negative_log] expected labels from 0 to {}, got {} in row {}", classes - 1,
                       labels[i], i);
    }
    const double p = row[labels[i]];
    sum -= std::log(p < kLeast ? kLeast : p);  // NaN stays NaN
  }
  return labels.empty() ? 0 : sum / static_cast<double>(labels.size());
}

std::int64_t count_correct(const Tensor& logits, std::span<const std::int32_t> labels) {
  check_labels("count_correct", logits, labels);
  const Tensor wide = logits.to(parameter_dtype(logits.dtype()));
  return wide.dtype() == DType::f64 ? count_rows<double>(wide, labels)
                                    : count_rows<float>(wide, labels);
}

}  // namespace evenkeel::nn
