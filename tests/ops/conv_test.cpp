#include <thread>

#include "ops/testing.h"
#include <evenkeel/ops/conv.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

constexpr double kTolerance = 3e-6;

struct Case {
  Tensor x, weight, bias, dy;
  ConvOptions options;

  Case(const Shape& in, const Shape& kernel, const ConvOptions& o, Layout layout,
       DType dtype = DType::f64)
      : x(random_tensor(in, dtype, layout, 1)),
        weight(random_tensor(kernel, dtype, 2)),
        bias(random_tensor({kernel[0]}, dtype, 3)),
        dy(random_tensor(conv_output_shape(in, kernel, o), dtype, layout, 4)),
        options(o) {}
};

struct Results {
  Tensor y, dx, dweight, dbias;
};

/// All directions; what is overwritten begins as NaN, what is added to as 0.5.
Results run(const Case& c, DType dtype, Layout layout, bool with_bias = true) {
  const Tensor x = c.x.to(dtype).to(layout);
  const Tensor weight = c.weight.to(dtype);
  const Tensor dy = c.dy.to(dtype).to(layout);
  Results r{poisoned(c.dy.shape(), dtype, layout), poisoned(c.x.shape(), dtype, layout),
            Tensor::full(c.weight.shape(), 0.5, dtype),
            with_bias ? Tensor::full(c.bias.shape(), 0.5, dtype) : Tensor()};
  conv_forward(x, weight, with_bias ? c.bias.to(dtype) : Tensor(), c.options, r.y);
  conv_backward_data(dy, weight, c.options, r.dx);
  conv_backward_weight(x, dy, c.options, r.dweight, r.dbias);
  return r;
}

double distance(const Results& a, const Results& b) {
  double worst = std::max({testing::distance(a.y, b.y), testing::distance(a.dx, b.dx),
                           testing::distance(a.dweight, b.dweight)});
  if (a.dbias.defined()) worst = std::max(worst, testing::distance(a.dbias, b.dbias));
  return worst;
}

TEST(Conv, ForwardOfAWorkedExample) {
  // A difference along the width, with padding and stride 2.
  const Tensor x = Tensor::from<double>({1, 4, 9, 16, 25}, {1, 1, 5});
  const Tensor weight = Tensor::from<double>({-1, 0, 1}, {1, 1, 3});
  ConvOptions options;
  options.stride = {2, 1};
  options.padding = {1, 0};
  Tensor y = poisoned({1, 1, 3});
  conv_forward(x, weight, Tensor::from<double>({100}, {1}), options, y);
  EXPECT_EQ(values_of(y), (std::vector<double>{104, 112, 84}));
}

TEST(Conv, ForwardOfAWorkedExampleOfVolumes) {
  // The ends of a diagonal of each 2×2×2 cube, with padding before and behind along the depth.
  std::vector<double> values(16);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  const Tensor x = Tensor::from<double>(values, {2, 1, 2, 2, 2});
  const Tensor weight = Tensor::from<double>({1, 0, 0, 0, 0, 0, 0, 1}, {1, 1, 2, 2, 2});
  ConvOptions options;
  options.padding = {1, 0, 0};
  Tensor y = poisoned({2, 1, 3, 1, 1});
  conv_forward(x, weight, Tensor::from<double>({100}, {1}), options, y);
  EXPECT_EQ(values_of(y), (std::vector<double>{103, 107, 104, 111, 123, 112}));
}

TEST(Conv, OutputShapeFollowsTheFormula) {
  ConvOptions options;
  options.stride = {2, 3, 1};
  options.padding = {1, 2, 0};
  options.dilation = {2, 1, 3};
  options.groups = 2;
  EXPECT_EQ(conv_output_shape({5, 4, 11, 12, 9}, {6, 2, 3, 4, 2}, options), (Shape{5, 6, 5, 5, 6}));
  EXPECT_EQ(conv_output_shape({5, 4, 11, 12}, {6, 2, 3, 4}, options), (Shape{5, 6, 5, 5}));
  EXPECT_EQ(conv_output_shape({5, 4, 11}, {6, 2, 3}, options), (Shape{5, 6, 5}));
}

/// Volumes have smaller extents, so that the plain loops are done in time.
ConvOptions any_options(int spatial) {
  const std::int64_t most = spatial == 3 ? 3 : 4;
  ConvOptions options;
  for (std::size_t i = 0; i < 3; ++i) {
    options.stride[i] = *rc::gen::inRange<std::int64_t>(1, most);
    options.padding[i] = *rc::gen::inRange<std::int64_t>(0, most);
    options.dilation[i] = *rc::gen::inRange<std::int64_t>(1, most);
  }
  return options;
}

/// A random convolution; `wide` reaches the vectorized implementations.
Case any_case(bool wide, int spatial) {
  ConvOptions options = any_options(spatial);
  const bool depthwise = *rc::gen::arbitrary<bool>();
  const bool volume = spatial == 3;
  options.groups = *rc::gen::inRange<std::int64_t>(1, wide ? 3 : 5);
  std::int64_t in = *rc::gen::inRange<std::int64_t>(1, volume ? 3 : 5) * (wide ? 16 : 1);
  std::int64_t out = *rc::gen::inRange<std::int64_t>(1, volume ? 3 : 5) * (wide ? 16 : 1);
  if (depthwise) {
    options.groups = in;
    in = 1;
    out = *rc::gen::inRange<std::int64_t>(1, 3);
  }
  const auto n = *rc::gen::inRange<std::int64_t>(1, volume ? 4 : 6);
  std::vector<std::int64_t> x{n, in * options.groups};
  std::vector<std::int64_t> w{out * options.groups, in};
  for (int d = 0; d < spatial; ++d) {
    const auto i = static_cast<std::size_t>(d);
    const auto kernel = *rc::gen::inRange<std::int64_t>(1, volume ? 4 : 5);
    const std::int64_t least =
        std::max<std::int64_t>(1, options.dilation[i] * (kernel - 1) + 1 - 2 * options.padding[i]);
    x.push_back(least + *rc::gen::inRange<std::int64_t>(0, volume ? 5 : 12));
    w.push_back(kernel);
  }
  return {Shape(x), Shape(w), options, Layout::channels_first, DType::f32};
}

int lines_or_planes() { return *rc::gen::inRange(1, 3); }

RC_GTEST_PROP(ConvProperty, FloatAgreesWithDoubleOnNarrowShapes, ()) {
  const Case c = any_case(false, lines_or_planes());
  const Layout layout = any_layout();
  const bool with_bias = *rc::gen::arbitrary<bool>();
  const auto got = run(c, DType::f32, layout, with_bias);
  RC_ASSERT(distance(got, run(c, DType::f64, layout, with_bias)) < kTolerance);
}

RC_GTEST_PROP(ConvProperty, FloatAgreesWithDoubleOnWideShapes, ()) {
  const Case c = any_case(true, lines_or_planes());
  const Layout layout = any_layout();
  const auto got = run(c, DType::f32, layout);
  RC_ASSERT(distance(got, run(c, DType::f64, layout)) < kTolerance);
}

RC_GTEST_PROP(ConvProperty, FloatAgreesWithDoubleOnNarrowVolumes, ()) {
  const Case c = any_case(false, 3);
  const Layout layout = any_layout();
  const bool with_bias = *rc::gen::arbitrary<bool>();
  const auto got = run(c, DType::f32, layout, with_bias);
  RC_ASSERT(distance(got, run(c, DType::f64, layout, with_bias)) < kTolerance);
}

RC_GTEST_PROP(ConvProperty, FloatAgreesWithDoubleOnWideVolumes, ()) {
  const Case c = any_case(true, 3);
  const Layout layout = any_layout();
  const auto got = run(c, DType::f32, layout);
  RC_ASSERT(distance(got, run(c, DType::f64, layout)) < kTolerance);
}

RC_GTEST_PROP(ConvProperty, DoubleDoesNotDependOnTheLayout, ()) {
  const Case c = any_case(false, *rc::gen::inRange(1, 4));
  const auto first = run(c, DType::f64, Layout::channels_first);
  const auto last = run(c, DType::f64, Layout::channels_last);
  RC_ASSERT(distance(first, last) < 1e-14);
}

/// Results in the middle of larger tensors, whose other samples must stay as they are: some of
/// oneDNN's kernels write beyond the last channel.
RC_GTEST_PROP(ConvProperty, NothingBesideTheResultsIsWritten, ()) {
  const Case c = any_case(*rc::gen::arbitrary<bool>(), *rc::gen::inRange(1, 4));
  const Layout layout = any_layout();
  const Tensor x = c.x.to(layout);
  const Tensor dy = c.dy.to(layout);
  const auto between = [&](const Shape& shape, auto&& compute) {
    const std::int64_t n = shape[0];
    const Tensor all = Tensor::full(shape.with(0, n + 2), 7, DType::f32, layout);
    Tensor middle = all.slice(1, n + 1);
    compute(middle);
    const Tensor sevens = Tensor::full(shape.with(0, 1), 7, DType::f32, layout);
    return testing::same_bits(all.slice(0, 1).clone(), sevens) &&
           testing::same_bits(all.slice(n + 1, n + 2).clone(), sevens);
  };
  RC_ASSERT(
      between(c.dy.shape(), [&](Tensor& y) { conv_forward(x, c.weight, c.bias, c.options, y); }));
  RC_ASSERT(
      between(c.x.shape(), [&](Tensor& dx) { conv_backward_data(dy, c.weight, c.options, dx); }));
}

/// The same memory, so the same bits, whatever the number of dimensions.
TEST(Conv, VolumesOfOnePlaneArePlanes) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const ConvOptions flat{.stride = {2, 1}, .padding = {1, 0}};
    const ConvOptions deep{.stride = {1, 2, 1}, .padding = {0, 1, 0}};
    const Case plane({3, 16, 9, 8}, {32, 16, 3, 3}, flat, layout, DType::f32);
    Case volume = plane;
    volume.options = deep;
    volume.weight = plane.weight.reshape({32, 16, 1, 3, 3});
    // Both are drawn in the order of their memory.
    volume.x = random_tensor({3, 16, 1, 9, 8}, DType::f32, layout, 1);
    volume.dy = random_tensor({3, 32, 1, 5, 6}, DType::f32, layout, 4);
    const Results a = run(plane, DType::f32, layout), b = run(volume, DType::f32, layout);
    EXPECT_EQ(values_of(a.y), values_of(b.y));
    EXPECT_EQ(values_of(a.dx), values_of(b.dx));
    EXPECT_EQ(values_of(a.dweight), values_of(b.dweight));
    EXPECT_EQ(values_of(a.dbias), values_of(b.dbias));
  }
}

TEST(Conv, BatchesThatAreCutInUnequalSlicesAgreeWithDouble) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Case volumes({7, 16, 6, 8, 7}, {32, 16, 3, 3, 3}, {.padding = {1, 1, 1}}, layout,
                       DType::f32);
    const Setting setting(3, true);
    EXPECT_LT(distance(run(volumes, DType::f32, layout), run(volumes, DType::f64, layout)),
              kTolerance);
  }
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (const std::int64_t n : {7, 37}) {
      const Case c({n, 16, 12, 12}, {32, 16, 3, 3}, {.padding = {1, 1}}, layout, DType::f32);
      const Setting setting(3, true);
      EXPECT_LT(distance(run(c, DType::f32, layout), run(c, DType::f64, layout)), kTolerance);
    }
  }
}

TEST(Conv, ASampleSpreadOverThreadsAgreesWithDouble) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Case c({1, 16, 40, 40}, {32, 16, 3, 3}, {.padding = {1, 1}}, layout, DType::f32);
    const Results expected = run(c, DType::f64, layout);
    for (const bool mode : {false, true}) {
      const Setting setting(3, mode);
      EXPECT_LT(distance(run(c, DType::f32, layout), expected), kTolerance);
    }
  }
}

bool same_bits(const Results& a, const Results& b) {
  return testing::same_bits(a.y, b.y) && testing::same_bits(a.dx, b.dx) &&
         testing::same_bits(a.dweight, b.dweight) && testing::same_bits(a.dbias, b.dbias);
}

TEST(Conv, CallsFromSeveralThreadsAndFromInsideAParallelLoopAgree) {
  const Case c({16, 16, 12, 12}, {32, 16, 3, 3}, {.padding = {1, 1}}, Layout::channels_last,
               DType::f32);
  const auto direct = [&] { return run(c, DType::f32, Layout::channels_last); };
  const Results expected = direct();
  std::vector<Results> results(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i) threads.emplace_back([&, i] { results[i] = direct(); });
  for (auto& thread : threads) thread.join();
  parallel_for(4, 1 << 20,
               [&](std::int64_t i) { results[static_cast<std::size_t>(i) + 4] = direct(); });
  for (const Results& result : results) EXPECT_TRUE(same_bits(result, expected));
}

class ConvGradient : public ::testing::TestWithParam<Layout> {};

TEST_P(ConvGradient, MatchesCentralDifferences) {
  ConvOptions options;
  options.stride = {2, 1};
  options.padding = {1, 2};
  options.dilation = {1, 2};
  options.groups = 2;
  Case c({2, 4, 5, 6}, {6, 2, 3, 2}, options, GetParam());
  const auto loss = [&] {
    Tensor y = poisoned(c.dy.shape(), DType::f64, GetParam());
    conv_forward(c.x, c.weight, c.bias, c.options, y);
    return dot(y, c.dy);
  };
  Tensor dx = poisoned(c.x.shape(), DType::f64, GetParam());
  Tensor dweight = Tensor::zeros(c.weight.shape(), DType::f64);
  Tensor dbias = Tensor::zeros(c.bias.shape(), DType::f64);
  conv_backward_data(c.dy, c.weight, c.options, dx);
  conv_backward_weight(c.x, c.dy, c.options, dweight, dbias);
  EXPECT_LT(testing::distance(dx, numerical_gradient(c.x, loss)), 1e-8);
  EXPECT_LT(testing::distance(dweight, numerical_gradient(c.weight, loss)), 1e-8);
  EXPECT_LT(testing::distance(dbias, numerical_gradient(c.bias, loss)), 1e-8);
}

TEST_P(ConvGradient, OfVolumesMatchesCentralDifferences) {
  const ConvOptions options{
      .stride = {2, 1, 2}, .padding = {1, 2, 0}, .dilation = {1, 2, 1}, .groups = 2};
  Case c({2, 4, 3, 4, 5}, {6, 2, 2, 3, 2}, options, GetParam());
  const auto loss = [&] {
    Tensor y = poisoned(c.dy.shape(), DType::f64, GetParam());
    conv_forward(c.x, c.weight, c.bias, c.options, y);
    return dot(y, c.dy);
  };
  const Results r = run(c, DType::f64, GetParam());
  EXPECT_LT(testing::distance(r.dx, numerical_gradient(c.x, loss)), 1e-8);
  Tensor dweight = numerical_gradient(c.weight, loss), dbias = numerical_gradient(c.bias, loss);
  accumulate(Tensor::full(c.weight.shape(), 0.5, DType::f64), dweight);  // what run() begins with
  accumulate(Tensor::full(c.bias.shape(), 0.5, DType::f64), dbias);
  EXPECT_LT(testing::distance(r.dweight, dweight), 1e-8);
  EXPECT_LT(testing::distance(r.dbias, dbias), 1e-8);
}

INSTANTIATE_TEST_SUITE_P(Layouts, ConvGradient,
                         ::testing::Values(Layout::channels_first, Layout::channels_last));

TEST(Conv, SameBitsForAnyNumberOfThreads) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Case planes({19, 16, 17, 13}, {32, 16, 3, 3}, {.stride = {2, 1}, .padding = {1, 1}},
                      layout, DType::f32);
    const Case volumes({13, 16, 5, 7, 6}, {32, 16, 3, 3, 3},
                       {.stride = {1, 2, 1}, .padding = {1, 1, 0}}, layout, DType::f32);
    for (const Case* c : {&planes, &volumes}) {
      const auto with = [&](int threads) {
        const Setting setting(threads, true);
        return run(*c, DType::f32, layout);
      };
      const Results one = with(1);
      for (const int threads : {2, 3, 8}) {
        const Results many = with(threads);
        EXPECT_TRUE(same_bits(one, many)) << threads;
      }
    }
  }
}

TEST(Conv, AWarmCallAsksTheSystemForNothing) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Case c({32, 16, 16, 16}, {16, 16, 3, 3}, {.padding = {1, 1}}, layout, DType::f32);
    run(c, DType::f32, layout);
    run(c, DType::f32, layout);
    const auto before = memory_stats().system_requests;
    run(c, DType::f32, layout);
    EXPECT_EQ(memory_stats().system_requests, before);
  }
}

TEST(Conv, AnEmptyBatchLeavesGradientsAlone) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Case c({0, 3, 5, 5}, {4, 3, 3, 3}, {}, Layout::channels_last, dtype);
    const Results r = run(c, dtype, Layout::channels_last);
    EXPECT_EQ(testing::distance(r.dweight, Tensor::full({4, 3, 3, 3}, 0.5, dtype)), 0.0);
    EXPECT_EQ(testing::distance(r.dbias, Tensor::full({4}, 0.5, dtype)), 0.0);
  }
}

TEST(Conv, AWrongChannelCountIsNamedAndNothingIsWritten) {
  const Case c({2, 3, 5, 5}, {4, 3, 3, 3}, {}, Layout::channels_first, DType::f32);
  const Tensor wrong = random_tensor({2, 5, 5, 5}, DType::f32);
  Tensor y = Tensor::full({2, 4, 3, 3}, 7, DType::f32);
  const auto message =
      message_of<ShapeError>([&] { conv_forward(wrong, c.weight, c.bias, {}, y); });
  EXPECT_EQ(
      message,
      "[conv_forward] expected 3 input channels for weight [4, 3, 3, 3] in 1 groups, got input "
      "[2, 5, 5, 5]");
  EXPECT_EQ(testing::distance(y, Tensor::full({2, 4, 3, 3}, 7, DType::f32)), 0.0);
}

TEST(Conv, RefusesWhatDoesNotFit) {
  const Case c({2, 4, 5, 5}, {4, 4, 3, 3}, {}, Layout::channels_first, DType::f32);
  Tensor y = Tensor::full({2, 4, 3, 3}, 7, DType::f32);
  Tensor last = Tensor::full({2, 4, 3, 3}, 7, DType::f32, Layout::channels_last);
  Tensor dx = Tensor::like(c.x);
  Tensor dweight = Tensor::full(c.weight.shape(), 7, DType::f32);
  Tensor none;
  EXPECT_THROW(conv_forward(c.x, c.weight, c.bias, {}, last), ShapeError);
  EXPECT_THROW(conv_forward(c.x, c.weight, c.bias, {.padding = {1, 1}}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x, c.weight, c.bias, {.stride = {0, 1}}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x, c.weight, c.bias, {.dilation = {3, 3}}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x, c.weight, c.bias, {.groups = 3}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x, c.weight, c.bias, {.groups = 0}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x, c.weight.to(Layout::channels_last), c.bias, {}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x.to(DType::f64), c.weight, c.bias, {}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x.reshape({2, 100}), c.weight, c.bias, {}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x.reshape({2, 4, 1, 1, 5, 5}), c.weight, c.bias, {}, y), ShapeError);
  EXPECT_THROW(conv_forward(c.x.reshape({2, 4, 1, 5, 5}), c.weight, c.bias, {}, y), ShapeError);
  EXPECT_THROW(conv_backward_data(c.x, c.weight, {}, dx), ShapeError);
  EXPECT_THROW(conv_backward_weight(c.x, last, {}, dweight, none), ShapeError);
  EXPECT_EQ(testing::distance(y, Tensor::full({2, 4, 3, 3}, 7, DType::f32)), 0.0);
  EXPECT_EQ(testing::distance(dweight, Tensor::full(c.weight.shape(), 7, DType::f32)), 0.0);
}

}  // namespace
}  // namespace evenkeel::ops
