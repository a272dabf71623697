// One result, bit for bit: for any number of threads, fused or not, whole or in phases, run to run.
#include <evenkeel/core/parallel.h>
#include <evenkeel/norm/isa.h>
#include <gtest/gtest.h>

#include "support.h"

namespace evenkeel::norm::testing {
namespace {

struct Result {
  Tensor y, dx, dgamma, dbeta, dadd, mean, var;
};

void expect_same(const Result& a, const Result& b, const std::string& what) {
  EXPECT_TRUE(same_bits(a.y, b.y)) << what;
  EXPECT_TRUE(same_bits(a.dx, b.dx)) << what;
  EXPECT_TRUE(same_bits(a.dgamma, b.dgamma)) << what;
  EXPECT_TRUE(same_bits(a.dbeta, b.dbeta)) << what;
  EXPECT_TRUE(same_bits(a.dadd, b.dadd)) << what;
  EXPECT_TRUE(same_bits(a.mean, b.mean)) << what;
  EXPECT_TRUE(same_bits(a.var, b.var)) << what;
}

struct Problem {
  Tensor x, dy, add, gamma, beta;

  Problem(const Shape& shape, Layout layout)
      : x(random_normal(shape, 1, 3, 2, DType::f32, layout)),
        dy(random_normal(shape, 2, 0, 1, DType::f32, layout)),
        add(random_normal(shape, 3, 0, 1, DType::f32, layout)),
        gamma(random_normal({shape[1]}, 4, 1, 0.5)),
        beta(random_normal({shape[1]}, 5, 0, 1)) {}
};

Tensor copy_of(std::span<const double> values) {
  return Tensor::from<double>(values, {static_cast<std::int64_t>(values.size())});
}

Result whole(const Problem& p, Activation activation, bool with_add) {
  Epilogue epilogue{activation, 0.2F, std::nullopt};
  if (with_add) epilogue.add = view(std::as_const(p.add));
  BatchNormCall call(p.x, p.gamma, p.beta, epilogue);
  Result r;
  r.y = call.forward();
  auto g = call.backward(p.dy);
  r.dx = g.dx;
  r.dgamma = g.dgamma;
  r.dbeta = g.dbeta;
  r.dadd = g.dadd;
  r.mean = copy_of(call.state.mean);
  r.var = copy_of(call.state.var);
  return r;
}

Result in_phases(const Problem& p, Activation activation, bool with_add) {
  Epilogue epilogue{activation, 0.2F, std::nullopt};
  if (with_add) epilogue.add = view(std::as_const(p.add));
  BatchNormCall call(p.x, p.gamma, p.beta, epilogue);
  const auto c = static_cast<std::size_t>(p.x.dim(1));
  std::vector<double> count(c), mean(c), m2(c), g(c), centred(c);
  const Moments moments{count, mean, m2};
  collect(call.in_view(), moments, call.workspace);
  finalize(moments, call.eps, call.state);
  Result r;
  r.y = call.poisoned();
  normalize(call.in_view(), call.state, call.affine(), epilogue, view(r.y), call.workspace);
  const GradientSums sums{g, centred};
  const auto dy = view(std::as_const(p.dy));
  reduce_gradients(call.in_view(), dy, call.state, epilogue, sums, call.workspace);
  r.dgamma = Tensor::zeros({p.x.dim(1)});
  r.dbeta = Tensor::zeros({p.x.dim(1)});
  accumulate_affine_gradients(call.state, sums, VectorView(r.dgamma), VectorView(r.dbeta));
  r.dx = call.poisoned();
  std::optional<ChannelView> dadd;
  if (with_add) {
    r.dadd = call.poisoned();
    dadd = view(r.dadd);
  }
  propagate(call.in_view(), dy, call.state, call.affine(), epilogue, sums, count[0], view(r.dx),
            dadd, call.workspace);
  r.mean = copy_of(call.state.mean);
  r.var = copy_of(call.state.var);
  return r;
}

/// Normalization alone, then the sum and the activation as loops of their own; backward likewise.
Result unfused(const Problem& p, Activation activation, bool with_add) {
  BatchNormCall call(p.x, p.gamma, p.beta);
  Result r;
  r.y = call.forward();
  auto y = r.y.span<float>();
  const auto add = p.add.span<float>();
  Tensor g = p.dy.clone();
  auto gs = g.span<float>();
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (with_add) y[i] += add[i];
    if (activation == Activation::none || y[i] > 0) continue;
    const float slope = activation == Activation::relu ? 0.0F : 0.2F;
    y[i] = slope == 0 ? 0.0F : y[i] * slope;
    gs[i] = slope == 0 ? 0.0F : gs[i] * slope;
  }
  auto back = call.backward(g);
  r.dx = back.dx;
  r.dgamma = back.dgamma;
  r.dbeta = back.dbeta;
  if (with_add) r.dadd = g;
  r.mean = copy_of(call.state.mean);
  r.var = copy_of(call.state.var);
  return r;
}

/// y over x and dx over dy, whose lines are in the cache and do not bypass it.
Result in_place(const Problem& p, Activation activation, bool with_add) {
  Epilogue epilogue{activation, 0.2F, std::nullopt};
  if (with_add) epilogue.add = view(std::as_const(p.add));
  BatchNormCall call(p.x, p.gamma, p.beta, epilogue);
  Result r;
  r.y = p.x.clone();
  forward_train(view(std::as_const(r.y)), call.affine(), call.eps, nullptr, epilogue, view(r.y),
                call.state, call.workspace);
  r.dgamma = Tensor::zeros({p.x.dim(1)});
  r.dbeta = Tensor::zeros({p.x.dim(1)});
  std::optional<ChannelView> dadd;
  if (with_add) {
    r.dadd = call.poisoned();
    dadd = view(r.dadd);
  }
  r.dx = p.dy.clone();
  backward_train(call.in_view(), view(std::as_const(r.dx)), call.affine(), call.state, epilogue,
                 view(r.dx), VectorView(r.dgamma), VectorView(r.dbeta), dadd, call.workspace);
  r.mean = copy_of(call.state.mean);
  r.var = copy_of(call.state.var);
  return r;
}

class SameBits : public ::testing::TestWithParam<Layout> {
 protected:
  void TearDown() override {
    set_max_threads(threads_);
    force_isa("");
  }
  int threads_ = max_threads();
};

TEST_P(SameBits, ForAnyThreadsFusedOrNotWholeOrPhased) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const Shape& shape : {Shape{4, 3, 33, 41}, Shape{8, 130, 7, 7}, Shape{300, 67},
                               Shape{2, 1, 9000}, Shape{5, 200, 3}, Shape{3, 3, 111, 113},
                               Shape{700, 67}}) {
      const Problem p(shape, GetParam());
      for (const Activation activation :
           {Activation::none, Activation::relu, Activation::leaky_relu}) {
        for (const bool add : {false, true}) {
          const std::string what = fmt::format("{} {} activation {} add {}", isa, shape.str(),
                                               static_cast<int>(activation), add);
          set_max_threads(1);
          const Result expected = whole(p, activation, add);
          expect_same(expected, whole(p, activation, add), what + " again");
          expect_same(expected, in_phases(p, activation, add), what + " phased");
          expect_same(expected, unfused(p, activation, add), what + " unfused");
          const bool best = isa == available_isas().front();
          for (const int threads : best ? std::vector{2, 3, 8} : std::vector{3}) {
            set_max_threads(threads);
            expect_same(expected, whole(p, activation, add), what + " threads");
            expect_same(expected, in_phases(p, activation, add), what + " threads phased");
          }
        }
      }
    }
  }
}

/// Of 4 MiB and more; rows that begin on cache lines and rows that do not.
TEST_P(SameBits, WhetherLargeOutputsBypassTheCacheOrNot) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const Shape& shape : {Shape{8, 48, 59, 59}, Shape{9, 40, 60, 60}}) {
      const Problem p(shape, GetParam());
      for (const Activation activation : {Activation::none, Activation::relu}) {
        for (const bool add : {false, true}) {
          const std::string what = fmt::format("{} {} activation {} add {}", isa, shape.str(),
                                               static_cast<int>(activation), add);
          expect_same(in_place(p, activation, add), whole(p, activation, add), what);
        }
      }
    }
  }
}

TEST_P(SameBits, InPlaceAndMisaligned) {
  const Problem p({9, 37, 11}, GetParam());
  const Result expected = whole(p, Activation::relu, false);
  Epilogue epilogue{Activation::relu, 0, std::nullopt};
  BatchNormCall call(p.x.clone(), p.gamma, p.beta, epilogue);
  const Tensor original = p.x.clone();
  // y over x; backward then needs the original x, which the caller kept.
  forward_train(call.in_view(), call.affine(), call.eps, nullptr, epilogue, view(call.x),
                call.state, call.workspace);
  EXPECT_TRUE(same_bits(call.x, expected.y));
  Tensor dy = p.dy.clone();
  Tensor dgamma = Tensor::zeros({37}), dbeta = Tensor::zeros({37});
  backward_train(view(original), view(std::as_const(dy)), call.affine(), call.state, epilogue,
                 view(dy), VectorView(dgamma), VectorView(dbeta), std::nullopt, call.workspace);
  EXPECT_TRUE(same_bits(dy, expected.dx));

  // Four bytes past an aligned address.
  Tensor room = Tensor::zeros({p.x.numel() + 1});
  std::memcpy(room.data<float>() + 1, p.x.raw(), p.x.bytes());
  ConstChannelView shifted = view(p.x);
  shifted.data = std::as_const(room).data<float>() + 1;
  Tensor out = Tensor::zeros({p.x.numel() + 1});
  ChannelView y{out.data<float>() + 1, DType::f32, p.x.layout(), 9, 37, 11};
  forward_train(shifted, call.affine(), call.eps, nullptr, epilogue, y, call.state, call.workspace);
  EXPECT_EQ(std::memcmp(out.data<float>() + 1, expected.y.raw(), expected.y.bytes()), 0);
}

INSTANTIATE_TEST_SUITE_P(Layouts, SameBits,
                         ::testing::Values(Layout::channels_first, Layout::channels_last));

TEST(NonFinite, SpoilsItsOwnChannelAlone) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      for (const float bad : {NAN, INFINITY, -INFINITY, 1e30F}) {
        const Problem p({6, 19, 30}, layout);
        const Result clean = whole(p, Activation::relu, false);
        Problem spoiled = p;
        spoiled.x = p.x.clone();
        spoiled.x.data<float>()[offset(p.x, 2, 7, 3)] = bad;
        const Result r = whole(spoiled, Activation::relu, false);
        for (std::int64_t n = 0; n < 6; ++n) {
          for (std::int64_t c = 0; c < 19; ++c) {
            for (std::int64_t s = 0; s < 30; ++s) {
              if (c == 7) continue;
              const std::int64_t i = offset(p.x, n, c, s);
              ASSERT_EQ(std::as_const(r.y).data<float>()[i],
                        std::as_const(clean.y).data<float>()[i]);
              ASSERT_EQ(std::as_const(r.dx).data<float>()[i],
                        std::as_const(clean.dx).data<float>()[i]);
            }
          }
        }
        if (!std::isfinite(bad)) {
          EXPECT_TRUE(std::isnan(std::as_const(r.y).data<float>()[offset(p.x, 0, 7, 0)]));
        }
      }
    }
  }
  force_isa("");
}

}  // namespace
}  // namespace evenkeel::norm::testing
