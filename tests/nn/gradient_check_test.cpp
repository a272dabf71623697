// The gradient check finds the mistakes it is there for.
#include "nn/gradient_check.h"

#include <gtest/gtest.h>

#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::nn {
namespace {

enum class Fault {
  none,
  gradient_overwritten,
  one_gradient_unwritten,
  input_gradient_partly_written,
  slightly_wrong,
  upstream_changed,
  gradient_missing
};

/// y = w·x with one weight, and a mistake in its backward.
class Scale : public Cloneable<Scale> {
 public:
  explicit Scale(Fault fault) : fault_(fault) {
    register_parameter("weight", {1}, ParameterKind::weight);
    parameter(0).value.fill(1.5);
  }
  std::string_view type() const override { return "Scale"; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override {
    const double w = parameter(0).value.item();
    Tensor y = Tensor::like(x);
    for (std::int64_t i = 0; i < x.numel(); ++i) y.data<double>()[i] = w * x.data<double>()[i];
    saved_.push(x);
    return y;
  }
  Tensor backward(const Tensor& dy) override {
    const Tensor x = saved_.top(*this);
    const double w = parameter(0).value.item();
    Tensor dx = Tensor::like(x);
    double sum = 0;
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      sum += dy.data<double>()[i] * x.data<double>()[i];
      if (fault_ == Fault::input_gradient_partly_written && i == 3) continue;
      dx.data<double>()[i] = dy.data<double>()[i] * w;
    }
    double& gradient = *parameter(0).grad.data<double>();
    if (fault_ == Fault::gradient_overwritten) gradient = 0;
    if (fault_ == Fault::slightly_wrong) sum *= 1 + 1e-5;
    if (fault_ != Fault::one_gradient_unwritten) gradient += sum;
    Tensor upstream = dy;
    if (fault_ == Fault::upstream_changed) upstream.fill(0);
    saved_.pop();
    return fault_ == Fault::gradient_missing ? Tensor() : dx;
  }

 private:
  SavedBase* own_saved() override { return &saved_; }

  Fault fault_;
  SavedStack<Tensor> saved_;
};

double error_with(Fault fault) {
  Scale layer(fault);
  return testing::check_gradients(layer, testing::random_tensor({8, 5}, 1, DType::f64)).error;
}

TEST(GradientCheck, accepts_right_gradients) { EXPECT_LE(error_with(Fault::none), 1e-10); }

TEST(GradientCheck, finds_a_parameter_gradient_that_is_overwritten_instead_of_accumulated) {
  EXPECT_GT(error_with(Fault::gradient_overwritten), testing::kGradientTolerance);
}

TEST(GradientCheck, finds_a_parameter_gradient_that_is_not_written) {
  EXPECT_GT(error_with(Fault::one_gradient_unwritten), testing::kGradientTolerance);
}

TEST(GradientCheck, finds_an_input_gradient_that_is_partly_written) {
  EXPECT_GT(error_with(Fault::input_gradient_partly_written), testing::kGradientTolerance);
}

TEST(GradientCheck, finds_a_relative_error_of_1e_5) {
  EXPECT_GT(error_with(Fault::slightly_wrong), testing::kGradientTolerance);
}

TEST(GradientCheck, finds_an_argument_that_is_changed) {
  EXPECT_GT(error_with(Fault::upstream_changed), testing::kGradientTolerance);
}

TEST(GradientCheck, finds_a_missing_input_gradient) {
  EXPECT_GT(error_with(Fault::gradient_missing), testing::kGradientTolerance);
}

}  // namespace
}  // namespace evenkeel::nn
