#include <algorithm>

#include "ops/testing.h"
#include <evenkeel/ops/pool.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Extents of a map as three, of which the first may be missing.
Spatial extents_of(const Shape& shape) {
  Spatial extents{1, 1, 1};
  for (int d = 2; d < shape.rank(); ++d) {
    extents[static_cast<std::size_t>(d + 3 - shape.rank())] = shape[d];
  }
  return extents;
}

/// The options of `spatial` dimensions, those of the missing ones doing nothing.
PoolOptions as_volume(PoolOptions o, int spatial) {
  for (int d = 0; d < 3 - spatial; ++d) {
    for (auto [numbers, nothing] :
         {std::pair{&o.kernel, 1}, std::pair{&o.stride, 1}, std::pair{&o.padding, 0}}) {
      std::shift_right(numbers->begin(), numbers->end(), 1);
      numbers->front() = nothing;
    }
  }
  return o;
}

/// One window of one map, padding cut off, as (value, position), in order.
using Window = std::vector<std::pair<double, std::int64_t>>;
Window window_of(const std::vector<double>& x, std::int64_t map, const Spatial& in,
                 const PoolOptions& o, const Spatial& out) {
  const auto at = [&](std::size_t d, std::int64_t k) {
    return out[d] * o.stride[d] - o.padding[d] + k;
  };
  Window result;
  for (std::int64_t i = 0; i < o.kernel[0]; ++i) {
    for (std::int64_t j = 0; j < o.kernel[1]; ++j) {
      for (std::int64_t k = 0; k < o.kernel[2]; ++k) {
        const std::int64_t d = at(0, i), h = at(1, j), w = at(2, k);
        if (d < 0 || h < 0 || w < 0 || d >= in[0] || h >= in[1] || w >= in[2]) continue;
        const std::int64_t position = (d * in[1] + h) * in[2] + w;
        const std::int64_t begin = map * in[0] * in[1] * in[2];
        result.emplace_back(x[static_cast<std::size_t>(begin + position)], position);
      }
    }
  }
  return result;
}

/// f(map, window, i) for the window of every output i, in the order of channels first.
template <class F>
void for_each_window(const std::vector<double>& x, const Shape& shape, const PoolOptions& options,
                     F&& f) {
  const PoolOptions o = as_volume(options, shape.rank() - 2);
  const Spatial in = extents_of(shape), out = extents_of(pool_output_shape(shape, options));
  std::size_t i = 0;
  for (std::int64_t map = 0; map < shape[0] * shape[1]; ++map) {
    for (std::int64_t od = 0; od < out[0]; ++od) {
      for (std::int64_t oh = 0; oh < out[1]; ++oh) {
        for (std::int64_t ow = 0; ow < out[2]; ++ow, ++i) {
          f(map, window_of(x, map, in, o, {od, oh, ow}), i);
        }
      }
    }
  }
}

PoolOptions any_options() {
  PoolOptions o;
  for (std::size_t i = 0; i < 3; ++i) {
    o.kernel[i] = *rc::gen::inRange<std::int64_t>(1, 5);
    o.stride[i] = *rc::gen::inRange<std::int64_t>(1, 5);
    o.padding[i] = *rc::gen::inRange<std::int64_t>(0, o.kernel[i] / 2 + 1);
  }
  o.count_include_pad = *rc::gen::arbitrary<bool>();
  return o;
}

Shape any_input(const PoolOptions& o) {
  const int spatial = *rc::gen::inRange(1, 4);
  std::vector<std::int64_t> dims{*rc::gen::inRange<std::int64_t>(1, 4),
                                 *rc::gen::inRange<std::int64_t>(1, 20)};
  for (int d = 0; d < spatial; ++d) {
    const auto i = static_cast<std::size_t>(d);
    dims.push_back(std::max<std::int64_t>(1, o.kernel[i] - 2 * o.padding[i]) +
                   *rc::gen::inRange<std::int64_t>(0, spatial == 3 ? 5 : 9));
  }
  return Shape(dims);
}

/// Small integers, so that there are ties.
Tensor with_ties(const Shape& shape, DType dtype, Layout layout) {
  Tensor x = random_tensor(shape, DType::f64, Layout::channels_first, 5);
  for (double& value : x.span<double>()) value = std::round(value);
  return x.to(dtype).to(layout);
}

RC_GTEST_PROP(PoolProperty, MaximaAreTheFirstOfTheirWindows, ()) {
  const PoolOptions o = any_options();
  const Shape in = any_input(o);
  const DType dtype = *rc::gen::element(DType::f32, DType::f64);
  const Layout layout = any_layout();
  const Tensor x = with_ties(in, dtype, layout);
  const Shape out = pool_output_shape(in, o);
  Tensor y = poisoned(out, dtype, layout);
  Tensor y_only = poisoned(out, dtype, layout);
  const Tensor memory = pool_forward(PoolKind::max, x, o, y);
  RC_ASSERT(!pool_forward(PoolKind::max, x, o, y_only, false).defined());
  RC_ASSERT(same_bits(y, y_only));
  const Tensor dy = random_tensor(out, dtype, layout, 6);
  Tensor dx = poisoned(in, dtype, layout);
  pool_backward(PoolKind::max, dy, memory, o, dx);

  const auto values = values_of(x);
  const auto maxima = values_of(y);
  const auto upstream = values_of(dy);
  Tensor expected = Tensor::zeros(in, DType::f64);
  const std::int64_t positions = in.drop(2).numel();
  for_each_window(values, in, o, [&](std::int64_t map, const Window& window, std::size_t i) {
    const auto best =
        std::max_element(window.begin(), window.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
    RC_ASSERT(maxima[i] == best->first);
    expected.span<double>()[static_cast<std::size_t>(map * positions + best->second)] +=
        upstream[i];
  });
  RC_ASSERT(distance(dx, expected) < 1e-6);
}

RC_GTEST_PROP(PoolProperty, AveragesAreThoseOfTheirWindows, ()) {
  const PoolOptions o = any_options();
  const Shape in = any_input(o);
  const DType dtype = *rc::gen::element(DType::f32, DType::f64);
  const Layout layout = any_layout();
  const Tensor x = random_tensor(in, dtype, layout, 5);
  const Shape out = pool_output_shape(in, o);
  Tensor y = poisoned(out, dtype, layout);
  RC_ASSERT(!pool_forward(PoolKind::average, x, o, y).defined());
  const Tensor dy = random_tensor(out, dtype, layout, 6);
  Tensor dx = poisoned(in, dtype, layout);
  pool_backward(PoolKind::average, dy, Tensor(), o, dx);

  const auto values = values_of(x);
  const auto averages = values_of(y);
  const auto upstream = values_of(dy);
  Tensor expected = Tensor::zeros(in, DType::f64);
  std::int64_t taps = 1;
  for (int d = 0; d < in.rank() - 2; ++d) taps *= o.kernel[static_cast<std::size_t>(d)];
  const std::int64_t positions = in.drop(2).numel();
  for_each_window(values, in, o, [&](std::int64_t map, const Window& window, std::size_t i) {
    const double divisor =
        static_cast<double>(o.count_include_pad ? taps : static_cast<std::int64_t>(window.size()));
    double sum = 0.0;
    for (const auto& [value, position] : window) {
      sum += value;
      expected.span<double>()[static_cast<std::size_t>(map * positions + position)] +=
          upstream[i] / divisor;
    }
    RC_ASSERT(std::abs(averages[i] - sum / divisor) < 1e-6);
  });
  RC_ASSERT(distance(dx, expected) < 1e-6);
}

TEST(Pool, OneDimensionUsesTheFirstOptions) {
  const Tensor x = Tensor::from<float>({1, 5, 2, 8, 3, 4, 9}, {1, 1, 7});
  PoolOptions o;
  o.kernel = {3, 99};
  o.stride = {2, 99};
  Tensor y = poisoned({1, 1, 3}, DType::f32);
  const Tensor memory = pool_forward(PoolKind::max, x, o, y);
  EXPECT_EQ(values_of(y), (std::vector<double>{5, 8, 9}));
  EXPECT_EQ(values_of(memory), (std::vector<double>{1, 3, 6}));
}

TEST(Pool, NaNIsNotLost) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (const std::size_t at : {0u, 1u, 3u}) {
      std::vector<double> values{1, 2, 3, 4, 5, 6, 7, 8};  // two channels of four
      values[at] = kNaN;
      const Tensor x = Tensor::from<double>(values, {1, 2, 2, 2}).to(DType::f32).to(layout);
      Tensor y = Tensor::zeros({1, 2, 1, 1}, DType::f32, layout);
      pool_forward(PoolKind::max, x, {}, y);
      EXPECT_TRUE(std::isnan(values_of(y)[0]));
      EXPECT_EQ(values_of(y)[1], 8.0);
    }
  }
}

TEST(Pool, AWindowOfMinusInfinityYieldsItsFirstPosition) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Tensor x = Tensor::full({1, 2, 4, 4}, -kInfinity, DType::f32, layout);
    Tensor y = poisoned({1, 2, 2, 2}, DType::f32, layout);
    const Tensor memory = pool_forward(PoolKind::max, x, {}, y);
    EXPECT_EQ(values_of(y)[7], -kInfinity);
    EXPECT_EQ(values_of(memory), (std::vector<double>{0, 2, 8, 10, 0, 2, 8, 10}));
  }
}

TEST(Pool, AveragingBackwardMatchesCentralDifferences) {
  PoolOptions o;
  o.kernel = {3, 2};
  o.stride = {2, 1};
  o.padding = {1, 1};
  o.count_include_pad = false;
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Tensor x = random_tensor({2, 3, 5, 4}, DType::f64, layout, 1);
    const Shape out = pool_output_shape(x.shape(), o);
    const Tensor dy = random_tensor(out, DType::f64, layout, 2);
    Tensor dx = poisoned(x.shape(), DType::f64, layout);
    pool_backward(PoolKind::average, dy, Tensor(), o, dx);
    const auto loss = [&] {
      Tensor y = poisoned(out, DType::f64, layout);
      pool_forward(PoolKind::average, x, o, y);
      return dot(y, dy);
    };
    EXPECT_LT(distance(dx, numerical_gradient(x, loss)), 1e-8);
  }
}

TEST(Pool, GlobalAverageAndItsGradient) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Tensor x = random_tensor({3, 70, 4, 5}, DType::f64, layout, 1);
    const Tensor dy = random_tensor({3, 70}, DType::f64, 2);
    Tensor y = poisoned({3, 70});
    global_average_pool_forward(x, y);
    const auto values = values_of(x);
    for (std::size_t plane = 0; plane < 210; ++plane) {
      double sum = 0.0;
      for (std::size_t s = 0; s < 20; ++s) sum += values[plane * 20 + s];
      EXPECT_NEAR(values_of(y)[plane], sum / 20, 1e-14);
    }
    Tensor dx = poisoned(x.shape(), DType::f64, layout);
    global_average_pool_backward(dy, dx);
    EXPECT_NEAR(dot(x, dx), dot(y, dy), 1e-12);  // the map is linear and dx its adjoint
    Tensor single = poisoned({3, 70}, DType::f32);
    global_average_pool_forward(x.to(DType::f32), single);
    EXPECT_LT(distance(single, y), 1e-6);
  }
}

TEST(Pool, EmptyBatchesAreAllowed) {
  const Tensor x = Tensor::empty({0, 3, 4, 4}, DType::f32);
  Tensor y = Tensor::empty({0, 3, 2, 2}, DType::f32);
  Tensor dx = Tensor::empty(x.shape(), DType::f32);
  Tensor mean = Tensor::empty({0, 3}, DType::f32);
  const Tensor memory = pool_forward(PoolKind::max, x, {}, y);
  EXPECT_EQ(memory.numel(), 0);
  EXPECT_NO_THROW(pool_backward(PoolKind::max, y, memory, {}, dx));
  EXPECT_NO_THROW(global_average_pool_forward(x, mean));
  EXPECT_NO_THROW(global_average_pool_backward(mean, dx));
}

TEST(Pool, RefusesWhatDoesNotFit) {
  const Tensor x = random_tensor({2, 3, 5, 5}, DType::f32);
  Tensor y = Tensor::full({2, 3, 2, 2}, 7, DType::f32);
  Tensor last = Tensor::full({2, 3, 2, 2}, 7, DType::f32, Layout::channels_last);
  Tensor dx = Tensor::full(x.shape(), 7, DType::f32);
  EXPECT_THROW(pool_forward(PoolKind::max, x, {.kernel = {6, 6}}, y), ShapeError);
  EXPECT_THROW(pool_forward(PoolKind::max, x, {.stride = {0, 1}}, y), ShapeError);
  EXPECT_THROW(pool_forward(PoolKind::max, x, {.padding = {2, 2}}, y), ShapeError);
  EXPECT_THROW(pool_forward(PoolKind::max, x, {.kernel = {3, 3}, .stride = {1, 1}}, y), ShapeError);
  EXPECT_THROW(pool_forward(PoolKind::max, x, {}, last), ShapeError);
  EXPECT_THROW(pool_forward(PoolKind::max, x.reshape({2, 3, 1, 1, 5, 5}), {}, y), ShapeError);
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  const PoolOptions huge{{kHuge, kHuge, kHuge}, {1, 1, 1}, {kHuge / 2, kHuge / 2, kHuge / 2}};
  EXPECT_THROW((void)pool_output_shape({1, 1, 1, 1, 1}, huge), ShapeError);
  EXPECT_THROW(pool_forward(PoolKind::max, x.to(DType::i32), {}, y), ShapeError);
  EXPECT_THROW(global_average_pool_forward(x, y), ShapeError);
  const auto message =
      message_of<ShapeError>([&] { pool_backward(PoolKind::max, y, Tensor(), {}, dx); });
  EXPECT_NE(message.find("remember = true"), std::string::npos);
  EXPECT_EQ(distance(y, Tensor::full({2, 3, 2, 2}, 7, DType::f32)), 0.0);
  EXPECT_EQ(distance(dx, Tensor::full(x.shape(), 7, DType::f32)), 0.0);
}

}  // namespace
}  // namespace evenkeel::ops
