#include <numeric>

#include "ops/testing.h"
#include <evenkeel/ops/attention.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

using Starts = std::vector<std::int64_t>;

struct Result {
  Tensor weights, y, dweights, dqkv;
};

Result run(const Tensor& qkv, const Tensor& dy, const Starts& starts, std::int64_t heads) {
  Result r;
  r.weights = poisoned({attention_weight_count(starts, heads)}, qkv.dtype());
  r.y = poisoned({qkv.dim(0), qkv.dim(1) / 3}, qkv.dtype());
  r.dweights = poisoned(r.weights.shape(), qkv.dtype());
  r.dqkv = poisoned(qkv.shape(), qkv.dtype());
  attention_weights(qkv, starts, heads, r.weights);
  attention_mix(r.weights, qkv, starts, heads, r.y);
  attention_mix_backward(r.weights, qkv, dy, starts, heads, r.dweights, r.dqkv);
  attention_weights_backward(r.weights, qkv, r.dweights, starts, heads, r.dqkv);
  return r;
}

TEST(Attention, GradientIsThatOfCentralDifferences) {
  const Starts starts{0, 3, 3, 4, 8};
  Tensor qkv = random_tensor({8, 12});
  const Tensor dy = random_tensor({8, 4}, DType::f64, 2);
  const Tensor expected =
      numerical_gradient(qkv, [&] { return dot(run(qkv, dy, starts, 2).y, dy); });
  EXPECT_LE(distance(run(qkv, dy, starts, 2).dqkv, expected), 1e-8);
}

TEST(Attention, WeightsOfAQueryAddUpToOne) {
  const Starts starts{0, 5, 7};
  const Tensor qkv = random_tensor({7, 6}, DType::f32);
  Tensor weights = poisoned({attention_weight_count(starts, 1)}, DType::f32);
  attention_weights(qkv, starts, 1, weights);
  const float* row = weights.data<float>();
  for (const std::int64_t length : {5, 5, 5, 5, 5, 2, 2}) {
    EXPECT_NEAR(std::accumulate(row, row + length, 0.0), 1, 1e-6);
    row += length;
  }
  EXPECT_EQ(row, weights.data<float>() + weights.numel());
}

TEST(Attention, LargeScoresDoNotOverflow) {
  Tensor qkv = random_tensor({4, 6}, DType::f32);
  for (float& value : qkv.span<float>()) value *= 1e6f;
  const Tensor y = run(qkv, Tensor::zeros({4, 2}), {0, 4}, 1).y;
  for (const float value : y.span<float>()) EXPECT_TRUE(std::isfinite(value));
}

RC_GTEST_PROP(Attention, FloatAgreesWithDouble, ()) {
  const auto heads = *rc::gen::inRange<std::int64_t>(1, 4);
  const auto width = *rc::gen::inRange<std::int64_t>(1, 20);
  Starts starts{0};
  for (int s = 0; s < 4; ++s) {
    starts.push_back(starts.back() + *rc::gen::inRange<std::int64_t>(0, 40));
  }
  const std::int64_t rows = starts.back();
  const Tensor qkv = random_tensor({rows, 3 * heads * width}, DType::f32, 3);
  const Tensor dy = random_tensor({rows, heads * width}, DType::f32, 4);
  const Result single = run(qkv, dy, starts, heads);
  const Result wide = run(qkv.to(DType::f64), dy.to(DType::f64), starts, heads);
  RC_ASSERT(distance(single.y, wide.y) <= 3e-6);
  RC_ASSERT(distance(single.dqkv, wide.dqkv) <= 3e-5);
}

RC_GTEST_PROP(Attention, SameBitsForAnyNumberOfThreads, ()) {
  const Starts starts{0, 17, 40, 64};
  const Tensor qkv = random_tensor({64, 96}, DType::f32, 5);
  const Tensor dy = random_tensor({64, 32}, DType::f32, 6);
  const auto with = [&](int threads) {
    const Setting setting(threads);
    return run(qkv, dy, starts, 4);
  };
  const Result one = with(1);
  const Result many = with(*rc::gen::inRange(2, 9));
  RC_ASSERT(same_bits(one.y, many.y));
  RC_ASSERT(same_bits(one.dqkv, many.dqkv));
}

TEST(Attention, RefusesWhatDoesNotFit) {
  const Tensor qkv = random_tensor({6, 12});
  Tensor weights = poisoned({2 * 36});
  EXPECT_NO_THROW(attention_weights(qkv, Starts{0, 6}, 2, weights));
  EXPECT_THROW(attention_weights(qkv, Starts{0, 5}, 2, weights), ShapeError);
  EXPECT_THROW(attention_weights(qkv, Starts{1, 6}, 2, weights), ShapeError);
  EXPECT_THROW(attention_weights(qkv, Starts{0, 4, 2, 6}, 2, weights), ShapeError);
  EXPECT_THROW(attention_weights(qkv, Starts{}, 2, weights), ShapeError);
  EXPECT_THROW(attention_weights(qkv, Starts{0, 6}, 3, weights), ShapeError);
  EXPECT_THROW(attention_weights(qkv, Starts{0, 6}, 0, weights), ShapeError);
  EXPECT_THROW(attention_weights(qkv, Starts{0, 3, 6}, 2, weights), ShapeError);
}

}  // namespace
}  // namespace evenkeel::ops
