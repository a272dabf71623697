// Networks that take one batch alone.
#include <gtest/gtest.h>

#include "nn/tensors.h"
#include <evenkeel/nn/fixed_batch.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using testing::max_difference;
using testing::random_tensor;

/// Takes four samples, no more and no less.
class FourAlone : public Cloneable<FourAlone> {
 public:
  std::string_view type() const override { return "FourAlone"; }
  Shape output_shape(const Shape& input) const override {
    if (input[0] != 4) fail<ShapeError>("[{}] takes four, got {}", label(), input[0]);
    return input;
  }
  Tensor forward(const Tensor& x) override {
    (void)output_shape(x.shape());
    return x;
  }
  Tensor backward(const Tensor& dy) override { return dy; }
};

TEST(FixedBatch, IsFilledUpAndTheRestLeftOut) {
  Sequential net{FourAlone(), Conv2d(2, 3, 1)};
  net.eval();
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Tensor x = random_tensor({4, 2, 3, 3}, 1, DType::f32, layout);
    const Tensor whole = net.forward(x);
    for (const std::int64_t count : {0, 1, 3, 4}) {
      const Tensor y = forward_filled(net, x.slice(0, count), 4);
      EXPECT_EQ(y.dim(0), count);
      EXPECT_EQ(max_difference(y, whole.slice(0, count)), 0);
    }
  }
  EXPECT_THROW(forward_filled(net, random_tensor({5, 2, 3, 3}, 1), 4), ShapeError);
}

}  // namespace
}  // namespace evenkeel::nn
