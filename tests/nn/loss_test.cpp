#include <limits>

#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/tensors.h"
#include <evenkeel/nn/loss.h>

namespace evenkeel::nn {
namespace {

using testing::message_of;
using testing::random_tensor;

using Labels = std::vector<std::int32_t>;

/// Central differences of `loss` at each element of y against `gradient`.
template <class Loss>
double gradient_error(Tensor y, const Tensor& gradient, Loss&& loss) {
  constexpr double kStep = 1e-5;
  double worst = 0;
  for (double& value : y.span<double>()) {
    const double original = value;
    const auto i = &value - y.data<double>();
    value = original + kStep;
    const double up = loss(y);
    value = original - kStep;
    const double down = loss(y);
    value = original;
    worst = std::max(worst, std::abs((up - down) / (2 * kStep) - gradient.data<double>()[i]));
  }
  return worst;
}

TEST(CrossEntropy, of_equal_logits_is_the_logarithm_of_the_classes) {
  const Labels labels{0, 3};
  EXPECT_NEAR(CrossEntropy().value(Tensor::zeros({2, 4}), labels), std::log(4.0), 1e-7);
}

TEST(CrossEntropy, gradient_is_that_of_central_differences) {
  const Labels labels{2, 0, 1};
  for (const double smoothing : {0.0, 0.1}) {
    const CrossEntropy loss{smoothing};
    const Tensor logits = random_tensor({3, 4}, 1, DType::f64);
    const LossResult result = loss(logits, labels);
    EXPECT_EQ(result.value, loss.value(logits, labels));
    EXPECT_LE(gradient_error(logits.clone(), result.gradient,
                             [&](const Tensor& y) { return loss.value(y, labels); }),
              1e-8);
  }
}

TEST(NegativeLog, is_the_cross_entropy_of_probabilities) {
  const Labels labels{1, 0};
  Tensor p = Tensor::zeros({2, 2});
  p.span<float>()[0] = 0.75F;
  p.span<float>()[1] = 0.25F;
  p.span<float>()[2] = 0.5F;
  p.span<float>()[3] = 0.5F;
  EXPECT_NEAR(negative_log(p, labels), (std::log(4.0) + std::log(2.0)) / 2, 1e-12);
  p.span<float>()[1] = 0;
  EXPECT_TRUE(std::isfinite(negative_log(p, labels)));
  EXPECT_THROW((void)negative_log(p, Labels{0, 2}), ShapeError);
}

TEST(CrossEntropy, wrong_labels_and_shapes_are_refused) {
  const CrossEntropy loss;
  EXPECT_EQ(message_of<ShapeError>([&] {
              loss(Tensor::zeros({2, 4}), Labels{1});
            }),
            "[cross_entropy] expected 2 labels for logits [2, 4], got 1");
  EXPECT_THROW(loss(Tensor::zeros({1, 4}), Labels{4}), ShapeError);
  EXPECT_THROW(loss(Tensor::zeros({1, 4}), Labels{-1}), ShapeError);
  EXPECT_THROW(loss(Tensor::zeros({4}), Labels{1}), ShapeError);
  EXPECT_THROW(CrossEntropy{1.5}(Tensor::zeros({1, 4}), Labels{0}), UsageError);
}

TEST(MeanSquaredError, gradient_is_that_of_central_differences) {
  const MeanSquaredError loss;
  const Tensor y = random_tensor({3, 2}, 1, DType::f64);
  const Tensor target = random_tensor({3, 2}, 2, DType::f64);
  const LossResult result = loss(y, target);
  EXPECT_EQ(result.value, loss.value(y, target));
  EXPECT_LE(gradient_error(y.clone(), result.gradient,
                           [&](const Tensor& at) { return loss.value(at, target); }),
            1e-8);
  EXPECT_THROW(loss(y, random_tensor({2, 3}, 1, DType::f64)), ShapeError);
}

TEST(CountCorrect, counts_rows_whose_label_is_largest) {
  const Tensor logits = Tensor::from<float>({0, 1, 2, 5, 1, 1, 0, 3, 0}, {3, 3});
  EXPECT_EQ(count_correct(logits, Labels{2, 0, 1}), 3);
  EXPECT_EQ(count_correct(logits, Labels{2, 1, 0}), 1);
  EXPECT_EQ(count_correct(logits.to(DType::f64), Labels{2, 1, 1}), 2);
}

TEST(CountCorrect, of_equal_values_the_first_counts) {
  const Tensor logits = Tensor::from<float>({1, 1, 0, 1, 1, 0}, {2, 3});
  EXPECT_EQ(count_correct(logits, Labels{0, 1}), 1);
}

TEST(CountCorrect, row_with_a_nan_is_wrong) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor logits = Tensor::from<float>({nan, 1, 2, 2, 1, nan, 2, 1, 0}, {3, 3});
  EXPECT_EQ(count_correct(logits, Labels{2, 0, 0}), 1);
  EXPECT_EQ(count_correct(logits, Labels{0, 0, 1}), 0);
}

TEST(CountCorrect, needs_a_label_for_each_row) {
  EXPECT_THROW(count_correct(Tensor::zeros({2, 3}), Labels{0}), ShapeError);
  EXPECT_EQ(count_correct(Tensor::zeros({0, 3}), Labels{}), 0);
}

}  // namespace
}  // namespace evenkeel::nn
