#include "ops/testing.h"
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

TEST(Elementwise, AddsAndAccumulates) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor a = random_tensor({3, 50000}, dtype, 1);
    const Tensor b = random_tensor({3, 50000}, dtype, 2);
    Tensor y = poisoned(a.shape(), dtype);
    add(a, b, y);
    const auto va = values_of(a);
    const auto vb = values_of(b);
    const auto vy = values_of(y);
    for (std::size_t i = 0; i < va.size(); ++i) ASSERT_NEAR(vy[i], va[i] + vb[i], 1e-6);
    Tensor in_place = a.clone();
    add(in_place, b, in_place);
    EXPECT_TRUE(same_bits(in_place, y));
    Tensor sum = b.clone();
    accumulate(a, sum);
    EXPECT_TRUE(same_bits(sum, y));
  }
}

TEST(Elementwise, AddRefusesOtherShapesTypesAndLayouts) {
  const Tensor a = random_tensor({2, 3, 4}, DType::f32);
  Tensor y = Tensor::full({2, 3, 4}, 7, DType::f32);
  EXPECT_THROW(add(a, random_tensor({2, 3, 5}, DType::f32), y), ShapeError);
  EXPECT_THROW(add(a, a.to(DType::f64), y), ShapeError);
  EXPECT_THROW(add(a, a.to(Layout::channels_last), y), ShapeError);
  EXPECT_THROW(accumulate(a.reshape({2, 12}), y), ShapeError);
  EXPECT_EQ(distance(y, Tensor::full({2, 3, 4}, 7, DType::f32)), 0.0);
}

TEST(Dropout, KeepsAndScalesByTheMask) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor x = random_tensor({10, 10007}, dtype);
    Tensor mask = Tensor::full(x.shape(), 9, DType::u8);
    Tensor y = poisoned(x.shape(), dtype);
    Random random(3);
    dropout_forward(x, 0.25, random, mask, y);
    Tensor dx = poisoned(x.shape(), dtype);
    dropout_backward(x, mask, 0.25, dx);
    EXPECT_TRUE(same_bits(dx, y));
    const auto vx = values_of(x);
    const auto vy = values_of(y);
    const auto kept = values_of(mask);
    double sum = 0.0;
    for (std::size_t i = 0; i < vx.size(); ++i) {
      ASSERT_TRUE(kept[i] == 0.0 || kept[i] == 1.0);
      ASSERT_NEAR(vy[i], kept[i] * vx[i] / 0.75, 1e-6);
      sum += kept[i];
    }
    // 100070 trials: five standard deviations are 0.0068.
    EXPECT_NEAR(sum / static_cast<double>(vx.size()), 0.75, 0.0068);
  }
}

TEST(Dropout, TheMaskDependsOnSeedAndPositionOnly) {
  const Tensor x = random_tensor({7, 9999}, DType::f32);
  const auto draw = [&](int threads, std::uint64_t position) {
    const Setting setting(threads);
    Random random(11);
    random.set_position(position);
    Tensor mask = Tensor::empty(x.shape(), DType::u8);
    Tensor y = Tensor::like(x);
    dropout_forward(x, 0.5, random, mask, y);
    EXPECT_EQ(random.position(), position + (7 * 9999 + 3) / 4);
    return mask;
  };
  const Tensor one = draw(1, 0);
  for (const int threads : {2, 3, 8}) EXPECT_TRUE(same_bits(draw(threads, 0), one));
  EXPECT_FALSE(same_bits(draw(1, 5), one));
}

TEST(Dropout, OfNothingIsTheIdentityAndStillAdvances) {
  const Tensor x = random_tensor({3, 5}, DType::f32);
  Tensor mask = Tensor::empty(x.shape(), DType::u8);
  Tensor y = poisoned(x.shape(), DType::f32);
  Random random(1);
  dropout_forward(x, 0.0, random, mask, y);
  EXPECT_TRUE(same_bits(y, x));
  EXPECT_EQ(random.position(), 4u);
}

TEST(Dropout, RefusesBadProbabilitiesAndMasksAndStaysWhereItWas) {
  const Tensor x = random_tensor({3, 5}, DType::f32);
  Tensor mask = Tensor::empty(x.shape(), DType::u8);
  Tensor wrong = Tensor::empty({3, 4}, DType::u8);
  Tensor y = Tensor::full(x.shape(), 7, DType::f32);
  Random random(1);
  EXPECT_THROW(dropout_forward(x, 1.0, random, mask, y), UsageError);
  EXPECT_THROW(dropout_forward(x, -0.1, random, mask, y), UsageError);
  EXPECT_THROW(dropout_forward(x, 0.5, random, wrong, y), ShapeError);
  EXPECT_THROW(dropout_forward(x, 0.5, random, y, y), ShapeError);
  EXPECT_THROW(dropout_backward(x, wrong, 0.5, y), ShapeError);
  EXPECT_EQ(random.position(), 0u);
  EXPECT_EQ(distance(y, Tensor::full(x.shape(), 7, DType::f32)), 0.0);
}

RC_GTEST_PROP(ConcatProperty, PutsPartsSideBySideAndSplitsThem, ()) {
  const Layout layout = any_layout();
  const DType dtype = *rc::gen::element(DType::f32, DType::f64);
  const int rank = *rc::gen::inRange(2, 5);
  const auto count = *rc::gen::inRange<std::size_t>(1, 4);
  std::vector<std::int64_t> dims{*rc::gen::inRange<std::int64_t>(0, 4), 0};
  for (int d = 2; d < rank; ++d) dims.push_back(*rc::gen::inRange<std::int64_t>(1, 5));
  std::vector<Tensor> parts;
  std::int64_t channels = 0;
  for (std::size_t i = 0; i < count; ++i) {
    dims[1] = *rc::gen::inRange<std::int64_t>(0, 5);
    channels += dims[1];
    parts.push_back(random_tensor(Shape(dims), dtype, layout, i + 1));
  }
  dims[1] = channels;
  Tensor y = poisoned(Shape(dims), dtype, layout);
  concat_channels(parts, y);

  const auto whole = values_of(y);
  const std::int64_t positions = Shape(dims).drop(2).numel();
  std::size_t at = 0;
  for (std::int64_t n = 0; n < dims[0]; ++n) {
    for (const Tensor& part : parts) {
      const auto values = values_of(part);
      const std::int64_t row = part.dim(1) * positions;
      for (std::int64_t i = 0; i < row; ++i) {
        RC_ASSERT(whole[at++] == values[static_cast<std::size_t>(n * row + i)]);
      }
    }
  }
  std::vector<Tensor> back;
  for (const Tensor& part : parts) back.push_back(poisoned(part.shape(), dtype, layout));
  split_channels(y, back);
  for (std::size_t i = 0; i < count; ++i) RC_ASSERT(same_bits(back[i], parts[i]));
}

TEST(Concat, RefusesPartsThatDoNotFit) {
  const std::vector<Tensor> parts{random_tensor({2, 3, 4}, DType::f32),
                                  random_tensor({2, 1, 4}, DType::f32)};
  const std::vector<Tensor> uneven{parts[0], random_tensor({2, 1, 5}, DType::f32)};
  Tensor y = Tensor::full({2, 4, 4}, 7, DType::f32);
  Tensor wide = Tensor::full({2, 5, 4}, 7, DType::f32);
  Tensor last = Tensor::full({2, 4, 4}, 7, DType::f32, Layout::channels_last);
  EXPECT_THROW(concat_channels(parts, wide), ShapeError);
  EXPECT_THROW(concat_channels(parts, last), ShapeError);
  EXPECT_THROW(concat_channels(uneven, y), ShapeError);
  EXPECT_THROW(concat_channels(std::span(parts).first(1), y), ShapeError);
  EXPECT_EQ(distance(y, Tensor::full({2, 4, 4}, 7, DType::f32)), 0.0);
}

}  // namespace
}  // namespace evenkeel::ops
