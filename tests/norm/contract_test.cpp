// Refusals before anything is written, running statistics, combining moments.
#include <evenkeel/norm/isa.h>
#include <gtest/gtest.h>

#include "support.h"

namespace evenkeel::norm::testing {
namespace {

TEST(Contract, OneValuePerChannelIsAnErrorAndChangesNothing) {
  const Tensor x = random_normal({1, 3}, 1, 0, 1);
  BatchNormCall call(x, Tensor(), Tensor());
  std::vector<double> mean{1, 2, 3}, var{4, 5, 6};
  std::int64_t batches = 7;
  RunningStats running{mean, var, &batches};
  Tensor y = Tensor::full({1, 3}, 42);
  try {
    forward_train(call.in_view(), {}, 1e-5, &running, {}, view(y), call.state, call.workspace);
    FAIL() << "accepted";
  } catch (const ShapeError& error) {
    EXPECT_NE(std::string(error.what()).find("more than one value per channel"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("eval()"), std::string::npos);
  }
  EXPECT_EQ(mean, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(var, (std::vector<double>{4, 5, 6}));
  EXPECT_EQ(batches, 7);
  for (const float v : std::as_const(y).span<float>()) EXPECT_EQ(v, 42);
}

TEST(Contract, EmptyBatchChangesNothing) {
  for (const Shape& shape : {Shape{0, 3}, Shape{0, 3, 4}, Shape{2, 3, 0, 2}}) {
    const Tensor x = Tensor::empty(shape);
    BatchNormCall call(x, Tensor(), Tensor());
    std::vector<double> mean{1, 2, 3}, var{4, 5, 6};
    std::int64_t batches = 7;
    RunningStats running{mean, var, &batches};
    const Tensor y = call.forward(&running);
    EXPECT_EQ(y.shape(), shape);
    const auto g = call.backward(Tensor::empty(shape));
    for (const float v : g.dgamma.span<float>()) EXPECT_EQ(v, 0);
    EXPECT_EQ(mean, (std::vector<double>{1, 2, 3}));
    EXPECT_EQ(batches, 7);
  }
}

TEST(Contract, MismatchedArgumentsAreRefused) {
  const Tensor x = random_normal({4, 3, 5}, 1, 0, 1);
  BatchNormCall call(x, Tensor(), Tensor());
  Tensor y = Tensor::full(x.shape(), 42);
  const auto run = [&](const Affine& affine, double eps, const Epilogue& epilogue,
                       const ChannelView& out) {
    forward_train(call.in_view(), affine, eps, nullptr, epilogue, out, call.state, call.workspace);
  };
  const std::vector<float> two{1, 2};
  EXPECT_THROW(run({ConstVectorView(std::span<const float>(two)), {}}, 1e-5, {}, view(y)),
               ShapeError);
  EXPECT_THROW(run({}, -1, {}, view(y)), UsageError);
  EXPECT_THROW(run({}, NAN, {}, view(y)), UsageError);
  EXPECT_THROW(run({}, 1e-5, {Activation::relu, 0, std::nullopt}, view(y)), ShapeError)
      << "a state without room for the mask";
  Tensor other = Tensor::full({4, 3, 6}, 42);
  EXPECT_THROW(run({}, 1e-5, {}, view(other)), ShapeError);
  Tensor last = Tensor::full({4, 3, 5}, 42, DType::f32, Layout::channels_last);
  EXPECT_THROW(run({}, 1e-5, {}, view(last)), ShapeError);
  Tensor wide = Tensor::full({4, 3, 5}, 42, DType::f64);
  EXPECT_THROW(run({}, 1e-5, {}, view(wide)), ShapeError);
  const Tensor add = Tensor::zeros({4, 3, 4});
  EXPECT_THROW(run({}, 1e-5, {Activation::none, 0, view(add)}, view(y)), ShapeError);
  EXPECT_THROW(forward_train(call.in_view(), {}, 1e-5, nullptr, {}, view(y), call.state,
                             call.workspace.subspan(0, 8)),
               UsageError);
  const Tensor half = Tensor::zeros({4, 3, 5}, DType::bf16);
  EXPECT_THROW(run({}, 1e-5, {Activation::none, 0, view(half)}, view(y)), ShapeError);
  const Tensor whole_numbers = Tensor::zeros({4, 3, 5}, DType::i32);
  EXPECT_THROW(workspace_size(view(whole_numbers)), ShapeError);
  EXPECT_THROW(workspace_size({nullptr, DType::f32, Layout::channels_first, 1, 0, 1}) > 0 &&
                   (collect({nullptr, DType::f32, Layout::channels_first, 1, 0, 1}, {}, {}), true),
               ShapeError);
  for (const float v : std::as_const(y).span<float>()) EXPECT_EQ(v, 42) << "was written";
}

TEST(RunningStatistics, FollowPyTorchsConventions) {
  // Two values per channel: mean 2, biased variance 1, unbiased 2.
  const Tensor x = Tensor::from<float>({1, 3}, {2, 1});
  const auto run = [&](std::optional<double> momentum, bool unbiased, int times) {
    BatchNormCall call(x, Tensor(), Tensor());
    std::vector<double> mean{0}, var{1};
    std::int64_t batches = 0;
    RunningStats stats{mean, var, &batches, momentum, unbiased, false};
    for (int i = 0; i < times; ++i) call.forward(&stats);
    EXPECT_EQ(batches, times);
    return std::pair(mean[0], var[0]);
  };
  EXPECT_EQ(run(0.1, true, 1), std::pair(0.2, 0.9 + 0.2));
  EXPECT_EQ(run(0.1, false, 1), std::pair(0.2, 0.9 + 0.1));
  EXPECT_EQ(run(0.0, true, 3), std::pair(0.0, 1.0));
  EXPECT_EQ(run(1.0, true, 3), std::pair(2.0, 2.0));
  EXPECT_EQ(run(std::nullopt, true, 1), std::pair(2.0, 2.0));
  EXPECT_EQ(run(std::nullopt, true, 4), std::pair(2.0, 2.0));
}

TEST(RunningStatistics, TheGuardRefusesNonFiniteBatches) {
  Tensor x = random_normal({8, 2}, 1, 0, 1);
  x.data<float>()[3] = NAN;
  BatchNormCall call(x, Tensor(), Tensor());
  std::vector<double> mean{1, 2}, var{3, 4};
  std::int64_t batches = 5;
  RunningStats stats{mean, var, &batches, 0.1, true, true};
  Tensor y = call.poisoned();
  EXPECT_FALSE(forward_train(call.in_view(), {}, 1e-5, &stats, {}, view(y), call.state,
                             call.workspace));
  EXPECT_EQ(mean, (std::vector<double>{1, 2}));
  EXPECT_EQ(batches, 5);
  stats.refuse_non_finite = false;
  EXPECT_TRUE(forward_train(call.in_view(), {}, 1e-5, &stats, {}, view(y), call.state,
                            call.workspace));
  EXPECT_TRUE(std::isnan(mean[1]));
  EXPECT_TRUE(std::isfinite(mean[0]));
}

TEST(Moments, OfPartsCombineToThoseOfTheWhole) {
  const Tensor x = random_normal({10, 4, 6}, 3, 1e4, 1);
  BatchNormCall whole(x, Tensor(), Tensor());
  const auto collect_into = [](BatchNormCall& call, std::vector<double>& count,
                               std::vector<double>& mean, std::vector<double>& m2) {
    collect(call.in_view(), {count, mean, m2}, call.workspace);
  };
  std::vector<double> n(4), mean(4), m2(4), na(4, 0), ma(4, 0), m2a(4, 0);
  collect_into(whole, n, mean, m2);
  for (const auto& [begin, end] :
       {std::pair(0, 0), std::pair(0, 3), std::pair(3, 3), std::pair(3, 10)}) {
    BatchNormCall part(x.slice(begin, end), Tensor(), Tensor());
    std::vector<double> nb(4), mb(4), m2b(4);
    collect_into(part, nb, mb, m2b);
    combine({na, ma, m2a}, {nb, mb, m2b});
  }
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_EQ(na[c], n[c]);
    EXPECT_NEAR(ma[c], mean[c], 1e-7);
    EXPECT_NEAR(m2a[c] / m2[c], 1, 1e-6);
  }
}

TEST(Moments, OfNothingAreZeroInEveryGeometry) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const Shape& shape : {Shape{0, 2, 3}, Shape{2, 2, 0}}) {
      for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
        BatchNormCall call(Tensor::empty(shape, DType::f32, layout), Tensor(), Tensor());
        std::vector<double> n(2, 7), mean(2, 7), m2(2, 7);
        collect(call.in_view(), {n, mean, m2}, call.workspace);
        EXPECT_EQ(n, (std::vector<double>{0, 0}));
        EXPECT_EQ(mean, (std::vector<double>{0, 0}));
        EXPECT_EQ(m2, (std::vector<double>{0, 0}));
      }
    }
  }
  force_isa("");
}

TEST(RunningStatistics, ThePhaseRefusesWhatDoesNotFit) {
  std::vector<double> mean(3), var(3), inv(3), two(2);
  std::int64_t batches = 0;
  const BatchNormState state{mean, var, inv, {}};
  RunningStats wrong_size{two, var, &batches};
  EXPECT_THROW(update_running(state, 5, wrong_size), ShapeError);
  RunningStats good{mean, var, &batches};
  EXPECT_THROW(update_running(state, 1, good), ShapeError);
  good.momentum = 5.0;
  EXPECT_THROW(update_running(state, 5, good), UsageError);
  good.momentum.reset();
  batches = -1;
  EXPECT_THROW(update_running(state, 5, good), UsageError);
  good.batches = nullptr;
  EXPECT_THROW(update_running(state, 5, good), UsageError);
  EXPECT_THROW(accumulate_affine_gradients(state, {mean, two}, {}, {}), ShapeError);
}

TEST(Isa, CanBeForcedAndNamesTheChoicesWhenItCannot) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    EXPECT_EQ(chosen_isa(), isa);
  }
  force_isa("");
  try {
    force_isa("avx51");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("reference"), std::string::npos);
  }
}

}  // namespace
}  // namespace evenkeel::norm::testing
