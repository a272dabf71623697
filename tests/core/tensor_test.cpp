#include <evenkeel/core/tensor.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <numeric>

namespace evenkeel {
namespace {

Tensor ramp(const Shape& shape, Layout layout = Layout::channels_first) {
  Tensor t = Tensor::empty(shape, DType::f32, layout);
  std::iota(t.span<float>().begin(), t.span<float>().end(), 0.0F);
  return t;
}

TEST(Shape, CountsPrintsAndRefuses) {
  const Shape s{2, 3, 4};
  EXPECT_EQ(s.numel(), 24);
  EXPECT_EQ(s[-1], 4);
  EXPECT_EQ(s.str(), "[2, 3, 4]");
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ((Shape{5, 0, 7}).numel(), 0);
  EXPECT_THROW((Shape{2, -1}), ShapeError);
  EXPECT_THROW((void)s[3], ShapeError);
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  EXPECT_THROW((Shape{std::int64_t{1} << 40, std::int64_t{1} << 40}), ShapeError);
  EXPECT_THROW((Shape{0, std::int64_t{1} << 40, std::int64_t{1} << 40}), ShapeError);
}

TEST(TensorMemory, IsAlignedAndShared) {
  Tensor a = Tensor::zeros({3, 5});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.raw()) % kAlignment, 0U);
  Tensor b = a;
  b.data<float>()[0] = 7;
  EXPECT_EQ(std::as_const(a).data<float>()[0], 7);
  Tensor c = a.clone();
  c.data<float>()[0] = 9;
  EXPECT_EQ(std::as_const(a).data<float>()[0], 7);
}

TEST(TensorMemory, SlicesAreViewsOfSamples) {
  Tensor a = ramp({4, 2, 3});
  Tensor middle = a.slice(1, 3);
  EXPECT_EQ(middle.shape(), (Shape{2, 2, 3}));
  EXPECT_EQ(std::as_const(middle).data<float>()[0], 6);
  middle.fill(-1);
  EXPECT_EQ(std::as_const(a).data<float>()[6], -1);
  EXPECT_EQ(std::as_const(a).data<float>()[5], 5);
  EXPECT_THROW(a.slice(3, 5), ShapeError);
  EXPECT_EQ(a.slice(2, 2).numel(), 0);
}

TEST(TensorMemory, WrongElementTypeIsRefused) {
  Tensor a = Tensor::zeros({2});
  EXPECT_THROW((void)a.data<double>(), ShapeError);
}

RC_GTEST_PROP(TensorLayout, ThereAndBackIsTheSame, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(0, 4);
  const auto c = *rc::gen::inRange<std::int64_t>(1, 40);
  const auto h = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto w = *rc::gen::inRange<std::int64_t>(1, 9);
  const Tensor a = ramp({n, c, h, w});
  const Tensor last = a.to(Layout::channels_last);
  RC_ASSERT(last.shape() == a.shape());
  for (std::int64_t i = 0; i < n * c * h * w; ++i) {
    const std::int64_t sample = i / (c * h * w), channel = i / (h * w) % c, at = i % (h * w);
    RC_ASSERT(last.data<float>()[(sample * h * w + at) * c + channel] == a.data<float>()[i]);
  }
  const Tensor back = last.to(Layout::channels_first);
  RC_ASSERT(std::equal(back.span<float>().begin(), back.span<float>().end(),
                       a.span<float>().begin()));
}

TEST(TensorLayout, ReshapeOfChannelsLastIsRefusedWhereMemoryDiffers) {
  const Tensor a = ramp({2, 3, 4}, Layout::channels_last);
  EXPECT_THROW((void)a.reshape({2, 12}), ShapeError);
  EXPECT_EQ(a.to(Layout::channels_first).reshape({2, 12}).shape(), (Shape{2, 12}));
  EXPECT_EQ(ramp({2, 3, 1}, Layout::channels_last).reshape({6}).shape(), (Shape{6}));
}

TEST(TensorConversion, BetweenTypesRoundsAsEachTypeDoes) {
  const Tensor d = Tensor::from<double>({1.0, 1.0 + 0x1p-30, -2.5}, {3});
  const Tensor f = d.to(DType::f32);
  EXPECT_EQ(f.data<float>()[1], 1.0F);
  EXPECT_EQ(f.to(DType::f64).data<double>()[2], -2.5);
  const Tensor b = Tensor::from<float>({1.0F, 1.00390625F, 1.01171875F, 3.4e38F}, {4}).to(DType::bf16);
  const Tensor w = b.to(DType::f32);
  EXPECT_EQ(w.data<float>()[1], 1.0F);           // a tie goes to even
  EXPECT_EQ(w.data<float>()[2], 1.015625F);      // and here up
  EXPECT_TRUE(std::isinf(w.data<float>()[3]));
  EXPECT_TRUE(std::isnan(static_cast<float>(bf16(NAN))));
}

TEST(Allocator, GivesTheSamePagesBackAndCounts) {
  release_cached_memory();
  const auto before = memory_stats();
  const void* first = nullptr;
  {
    const auto a = allocate(100000);
    first = a.get();
    EXPECT_GE(memory_stats().current, before.current + 100000);
  }
  EXPECT_EQ(memory_stats().current, before.current);
  const auto requests = memory_stats().system_requests;
  const auto b = allocate(99000);
  EXPECT_EQ(b.get(), first);
  EXPECT_EQ(memory_stats().system_requests, requests);
  reset_peak_memory();
  EXPECT_EQ(memory_stats().peak, memory_stats().current);
}

TEST(Allocator, AFailureIsAnExceptionAndLeavesNothing) {
  const auto before = memory_stats().current;
  set_allocation_hook([](std::size_t bytes) { return bytes < 1000; });
  EXPECT_THROW(Tensor::zeros({1000}), std::bad_alloc);
  EXPECT_NO_THROW(Tensor::zeros({10}));
  set_allocation_hook({});
  EXPECT_EQ(memory_stats().current, before);
  EXPECT_THROW(allocate(SIZE_MAX / 4 * 3), std::bad_alloc);
}

}  // namespace
}  // namespace evenkeel
