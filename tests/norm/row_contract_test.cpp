// The row operators' contract: refusals before anything is written, what is overwritten and
// accumulated, running statistics of instances.
#include <gtest/gtest.h>

#include "row_support.h"

namespace evenkeel::norm::testing {
namespace {

constexpr Layout kFirst = Layout::channels_first;
constexpr Layout kLast = Layout::channels_last;

template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

TEST(RowContract, MismatchedArgumentsAreRefusedBeforeAnythingIsWritten) {
  const RowForm form = elements(4, 6);
  RowCall call(form, random_normal({24}, 1, 0, 1), Tensor(), Tensor());
  Tensor y = Tensor::full({24}, 42);
  const auto run = [&](const Affine& affine, const RowNorm& norm, const RowView& out) {
    forward_rows(call.in(), affine, norm, out, &call.state, call.workspace);
  };
  const std::vector<float> five(5, 1.0F);
  const ConstVectorView wrong{std::span<const float>(five)};
  EXPECT_THROW(run({wrong, {}}, {}, call.out(y)), ShapeError);
  EXPECT_THROW(run({{}, wrong}, {}, call.out(y)), ShapeError);
  EXPECT_THROW(run({}, {-1}, call.out(y)), UsageError);
  EXPECT_THROW(run({}, {NAN}, call.out(y)), UsageError);
  RowView out = call.out(y);
  out.n = 3;
  EXPECT_THROW(run({}, {}, out), ShapeError);
  out = call.out(y);
  for (const DType other : {DType::f64, DType::bf16}) {
    out.dtype = other;
    EXPECT_THROW(run({}, {}, out), ShapeError);
  }
  out = call.out(y);
  out.data = nullptr;
  EXPECT_THROW(run({}, {}, out), ShapeError);
  out.data = y.data<float>() + 0;
  out.data = static_cast<char*>(out.data) + 2;
  EXPECT_THROW(run({}, {}, out), UsageError) << "half an element";
  out.data = static_cast<float*>(call.x.raw()) + 1;
  EXPECT_THROW(run({}, {}, out), UsageError) << "overlaps x in part";
  EXPECT_THROW(
      forward_rows(call.in(), {}, {}, call.out(y), &call.state, call.workspace.subspan(0, 8)),
      UsageError);
  RowNormState small = call.state;
  small.var = small.var.first(3);
  EXPECT_THROW(forward_rows(call.in(), {}, {}, call.out(y), &small, call.workspace), ShapeError);
  EXPECT_THROW(backward_rows(call.in(), call.like(y), {}, small, Centre::mean, call.out(y), {}, {},
                             call.workspace),
               ShapeError);
  Tensor five_sums = Tensor::zeros({5});
  EXPECT_THROW(backward_rows(call.in(), call.like(y), {}, call.state, Centre::mean, call.out(y),
                             VectorView(five_sums), {}, call.workspace),
               ShapeError);
  for (const float v : std::as_const(y).span<float>()) EXPECT_EQ(v, 42) << "was written";
}

TEST(RowContract, ImpossibleGeometriesAreRefused) {
  const auto size = [](const ConstRowView& x) { return row_workspace_size(x); };
  EXPECT_THROW(size({nullptr, DType::f32, kFirst, -1, 1, 3, 1}), ShapeError);
  EXPECT_THROW(size({nullptr, DType::f32, kFirst, 1, 0, 3, 1}), ShapeError);
  EXPECT_THROW(size({nullptr, DType::i32, kFirst, 1, 1, 3, 1}), ShapeError);
  EXPECT_THROW(size({nullptr, DType::f32, kFirst, 1LL << 40, 1LL << 20, 1, 1}), ShapeError);
  const Tensor x = Tensor::zeros({2, 6, 4});
  const std::string message = message_of<ShapeError>([&] { group_view(view(x), 4); });
  EXPECT_NE(message.find("6 channels and 4 groups"), std::string::npos) << message;
  EXPECT_THROW(group_view(view(x), 0), ShapeError);
  EXPECT_THROW(row_view(x, 0), ShapeError);
  EXPECT_THROW(row_view(x, 4), ShapeError);
  EXPECT_THROW(row_view(x.to(kLast), 1), ShapeError) << "rows that do not lie together";
}

TEST(RowContract, ViewsOfTensors) {
  const Tensor x = Tensor::zeros({2, 6, 4});
  EXPECT_EQ(row_view(x, 1).rows(), 12);
  EXPECT_EQ(row_view(x, 2).length(), 24);
  EXPECT_EQ(row_view(x, 3).rows(), 1);
  const ConstRowView groups = group_view(view(x), 3);
  EXPECT_EQ(groups.rows(), 6);
  EXPECT_EQ(groups.channels, 2);
  EXPECT_EQ(groups.s, 4);
  EXPECT_EQ(groups.parameters(), 6);
}

TEST(RowContract, NothingOfNothing) {
  for (const RowForm& form :
       {elements(0, 5), elements(3, 0), grouped(kFirst, 0, 2, 3, 4), grouped(kLast, 2, 2, 3, 0)}) {
    RowCall call(form, Tensor::empty({0}), Tensor(), Tensor());
    call.forward();
    for (const double v : call.state.inv_std) EXPECT_EQ(v, 0);
    Tensor dgamma = Tensor::full({form.parameters()}, 3);
    const Tensor dy = Tensor::empty({0});
    Tensor dx = Tensor::empty({0});
    backward_rows(call.in(), call.like(dy), call.affine(), call.state, Centre::mean, call.out(dx),
                  VectorView(dgamma), {}, call.workspace);
    for (const float v : dgamma.span<float>()) EXPECT_EQ(v, 3);
    std::vector<double> n(static_cast<std::size_t>(form.rows()), 7), mean(n), m2(n);
    collect_rows(call.in(), Centre::mean, {n, mean, m2}, call.workspace);
    for (const double v : n) EXPECT_EQ(v, 0);
    RowNormState state = call.state;
    finalize_rows({n, mean, m2}, 1e-5, state);
    for (const double v : state.var) EXPECT_EQ(v, 0);
  }
}

TEST(RowContract, GradientsOfParametersAccumulateAndTheRestIsOverwritten) {
  for (const RowForm& form : {elements(20, 30), grouped(kFirst, 3, 2, 3, 5),
                              grouped(kLast, 3, 2, 3, 5), grouped(kLast, 3, 1, 20, 5)}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      RowCall call(form, random_normal({form.numel()}, 1, 0, 1, dtype), Tensor(), Tensor());
      const Tensor dy = random_normal({form.numel()}, 2, 0, 1, dtype);
      call.forward();
      auto once = call.backward(dy);
      const Tensor dgamma = once.dgamma.clone();
      backward_rows(call.in(), call.like(dy), call.affine(), call.state, Centre::mean,
                    call.out(once.dx), VectorView(once.dgamma), VectorView(once.dbeta),
                    call.workspace);
      const std::vector<double> one = doubles(dgamma), two = doubles(once.dgamma);
      for (std::size_t i = 0; i < one.size(); ++i) {
        EXPECT_NEAR(two[i], 2 * one[i], 1e-6 * std::abs(one[i]));
      }
      EXPECT_TRUE(same_bits(once.dx, call.backward(dy).dx));
    }
  }
}

TEST(RowContract, NothingIsWrittenBeyondTheMemoryThatWasAskedFor) {
  for (const RowForm& form : {elements(33, 70), elements(2, 40000), grouped(kFirst, 2, 3, 5, 33),
                              grouped(kLast, 2, 7, 3, 33), grouped(kLast, 1, 2, 40, 3000),
                              grouped(kLast, 1, 40, 2, 3000)}) {
    RowCall call(form, random_normal({form.numel()}, 1, 0, 1), Tensor(), Tensor());
    const Tensor dy = random_normal({form.numel()}, 2, 0, 1);
    constexpr std::size_t kMargin = 256;
    const std::size_t size = call.workspace.size();
    const auto guarded = allocate(size + kMargin);
    std::memset(guarded.get() + size, 0x5a, kMargin);
    call.workspace = {guarded.get(), size};
    Tensor y = Tensor::full({form.numel() + 64}, 42), dx = y.clone();
    forward_rows(call.in(), {}, {}, call.out(y), &call.state, call.workspace);
    Tensor dgamma = Tensor::zeros({form.parameters()});
    backward_rows(call.in(), call.like(dy), {}, call.state, Centre::mean, call.out(dx),
                  VectorView(dgamma), {}, call.workspace);
    for (std::size_t i = 0; i < kMargin; ++i)
      ASSERT_EQ(std::to_integer<int>(guarded.get()[size + i]), 0x5a);
    for (std::int64_t i = form.numel(); i < form.numel() + 64; ++i) {
      ASSERT_EQ(y.span<float>()[static_cast<std::size_t>(i)], 42);
      ASSERT_EQ(dx.span<float>()[static_cast<std::size_t>(i)], 42);
    }
  }
}

TEST(RowContract, MomentsOfPartsCombineToThoseOfTheWholeRow) {
  // Rows of 60 values as two parts of 20 and 40.
  const Tensor x = random_normal({3, 60}, 3, 1e4, 1);
  std::vector<double> n(3), mean(3), m2(3), na(3), ma(3), m2a(3), nb(3), mb(3), m2b(3);
  RowCall whole(elements(3, 60), x.reshape({180}), Tensor(), Tensor());
  collect_rows(whole.in(), Centre::mean, {n, mean, m2}, whole.workspace);
  Tensor left = Tensor::empty({60}), right = Tensor::empty({120});
  for (std::int64_t r = 0; r < 3; ++r) {
    const float* row = x.data<float>() + r * 60;
    std::copy(row, row + 20, left.data<float>() + r * 20);
    std::copy(row + 20, row + 60, right.data<float>() + r * 40);
  }
  RowCall a(elements(3, 20), left, Tensor(), Tensor()),
      b(elements(3, 40), right, Tensor(), Tensor());
  collect_rows(a.in(), Centre::mean, {na, ma, m2a}, a.workspace);
  collect_rows(b.in(), Centre::mean, {nb, mb, m2b}, b.workspace);
  combine({na, ma, m2a}, {nb, mb, m2b});
  for (std::size_t r = 0; r < 3; ++r) {
    EXPECT_EQ(na[r], n[r]);
    EXPECT_NEAR(ma[r], mean[r], 1e-7);
    EXPECT_NEAR(m2a[r] / m2[r], 1, 1e-6);
  }
}

TEST(RunningInstances, AverageTheSamplesStatistics) {
  // Channel 0: means 2 and 4, unbiased variances 2 and 8; channel 1: constant 5 and 7.
  const Tensor x = Tensor::from<float>({1, 3, 5, 5, 2, 6, 7, 7}, {2, 2, 2});
  RowCall call(grouped(kFirst, 2, 2, 1, 2), x.reshape({8}), Tensor(), Tensor());
  call.forward();
  const auto run = [&](double momentum, bool unbiased) {
    std::vector<double> mean{0, 0}, var{1, 1};
    RunningStats stats{mean, var, nullptr, momentum, unbiased, false};
    EXPECT_TRUE(update_running_instances(call.in(), call.state, stats, call.workspace));
    mean.insert(mean.end(), var.begin(), var.end());
    return mean;
  };
  EXPECT_EQ(run(1, true), (std::vector<double>{3, 6, 5, 0}));
  EXPECT_EQ(run(1, false), (std::vector<double>{3, 6, 2.5, 0}));
  EXPECT_EQ(run(0, true), (std::vector<double>{0, 0, 1, 1}));
  EXPECT_EQ(run(0.5, true), (std::vector<double>{1.5, 3, 3, 0.5}));
}

TEST(RunningInstances, RefuseWhatDoesNotFit) {
  std::vector<double> mean{1, 2}, var{3, 4};
  RunningStats stats{mean, var, nullptr};
  RowCall groups(grouped(kFirst, 2, 2, 2, 3), random_normal({24}, 1, 0, 1), Tensor(), Tensor());
  groups.forward();
  EXPECT_THROW(update_running_instances(groups.in(), groups.state, stats, groups.workspace),
               ShapeError);
  RowCall one(grouped(kFirst, 2, 2, 1, 1), random_normal({4}, 1, 0, 1), Tensor(), Tensor());
  one.forward();
  EXPECT_THROW(update_running_instances(one.in(), one.state, stats, one.workspace), ShapeError);
  RowCall good(grouped(kFirst, 2, 2, 1, 3), random_normal({12}, 1, 0, 1), Tensor(), Tensor());
  good.forward();
  stats.momentum.reset();
  EXPECT_THROW(update_running_instances(good.in(), good.state, stats, good.workspace), UsageError);
  stats.momentum = 0.1;
  stats.mean = stats.mean.first(1);
  EXPECT_THROW(update_running_instances(good.in(), good.state, stats, good.workspace), ShapeError);
  stats.mean = mean;
  good.state.mean[1] = NAN;
  stats.refuse_non_finite = true;
  EXPECT_FALSE(update_running_instances(good.in(), good.state, stats, good.workspace));
  RowCall none(grouped(kFirst, 0, 2, 1, 3), Tensor::empty({0}), Tensor(), Tensor());
  EXPECT_TRUE(update_running_instances(none.in(), none.state, stats, none.workspace));
  EXPECT_EQ(mean, (std::vector<double>{1, 2}));
  EXPECT_EQ(var, (std::vector<double>{3, 4}));
}

}  // namespace
}  // namespace evenkeel::norm::testing
