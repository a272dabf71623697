// One result of the row geometry, bit for bit: for any number of threads, whole or in phases, in
// place or not, run to run; and what a value that is not finite may touch.
#include <gtest/gtest.h>

#include "row_support.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/norm/isa.h>

namespace evenkeel::norm::testing {
namespace {

constexpr Layout kFirst = Layout::channels_first;
constexpr Layout kLast = Layout::channels_last;

struct Problem {
  RowForm form;
  RowNorm norm;
  Tensor x, dy, gamma, beta;

  explicit Problem(const RowForm& rows, RowNorm settings = {})
      : form(rows),
        norm(settings),
        x(random_normal({form.numel()}, 1, 3, 2)),
        dy(random_normal({form.numel()}, 2, 0, 1)),
        gamma(random_normal({form.parameters()}, 4, 1, 0.5)),
        beta(random_normal({form.parameters()}, 5, 0, 1)) {}

  RowCall call() const { return {form, x, gamma, beta, norm}; }
};

Tensor copy_of(std::span<const double> values) {
  return Tensor::from<double>(values, {static_cast<std::int64_t>(values.size())});
}

struct Result {
  Tensor y, dx, dgamma, dbeta, mean, var, inv_std;
};

Result whole(const Problem& p) {
  RowCall call = p.call();
  Result r;
  r.y = call.forward();
  const auto g = call.backward(p.dy);
  r.dx = g.dx;
  r.dgamma = g.dgamma;
  r.dbeta = g.dbeta;
  r.mean = copy_of(call.state.mean);
  r.var = copy_of(call.state.var);
  r.inv_std = copy_of(call.state.inv_std);
  return r;
}

/// Forward in phases; backward has none.
Result in_phases(const Problem& p) {
  RowCall call = p.call();
  const auto rows = static_cast<std::size_t>(p.form.rows());
  std::vector<double> count(rows, NAN), mean(rows, NAN), m2(rows, NAN);
  const Moments moments{count, mean, m2};
  collect_rows(call.in(), p.norm.centre, moments, call.workspace);
  finalize_rows(moments, p.norm.eps, call.state);
  Result r = whole(p);
  r.y = call.poisoned();
  normalize_rows(call.in(), call.state, call.affine(), call.out(r.y), call.workspace);
  r.mean = copy_of(call.state.mean);
  r.var = copy_of(call.state.var);
  r.inv_std = copy_of(call.state.inv_std);
  return r;
}

void expect_same(const Result& a, const Result& b, const std::string& what) {
  EXPECT_TRUE(same_bits(a.y, b.y)) << what;
  EXPECT_TRUE(same_bits(a.dx, b.dx)) << what;
  EXPECT_TRUE(same_bits(a.dgamma, b.dgamma)) << what;
  EXPECT_TRUE(same_bits(a.dbeta, b.dbeta)) << what;
  EXPECT_TRUE(same_bits(a.mean, b.mean)) << what;
  EXPECT_TRUE(same_bits(a.var, b.var)) << what;
  EXPECT_TRUE(same_bits(a.inv_std, b.inv_std)) << what;
}

class RowSameBits : public ::testing::Test {
 protected:
  void TearDown() override {
    set_max_threads(threads_);
    force_isa("");
  }
  int threads_ = max_threads();
};

/// Few large rows are shared between threads, many small ones are not.
std::vector<RowForm> forms() {
  return {elements(1, 100000),
          elements(3, 50001),
          elements(67, 777),
          elements(700, 67),
          elements(2, 5),
          grouped(kFirst, 37, 3, 20, 1),
          grouped(kFirst, 1, 1, 40, 1681),
          grouped(kFirst, 1, 2, 3, 20000),
          grouped(kFirst, 8, 26, 5, 49),
          grouped(kLast, 1, 1, 40, 1681),
          grouped(kLast, 1, 67, 1, 3000),
          grouped(kLast, 1, 5, 3, 20000),
          grouped(kLast, 8, 26, 5, 49),
          grouped(kLast, 2, 2, 70, 900)};
}

TEST_F(RowSameBits, ForAnyThreadsWholeOrPhased) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    const bool best = isa == available_isas().front();
    for (const RowForm& form : forms()) {
      for (const Centre centre : {Centre::mean, Centre::zero}) {
        const Problem p(form, {1e-5, centre});
        const std::string what = fmt::format("{} {}", isa, form.str());
        set_max_threads(1);
        const Result expected = whole(p);
        expect_same(expected, whole(p), what + " again");
        expect_same(expected, in_phases(p), what + " phased");
        for (const int threads : best ? std::vector{2, 3, 8, 64} : std::vector{3}) {
          set_max_threads(threads);
          expect_same(expected, whole(p), fmt::format("{} {} threads", what, threads));
          expect_same(expected, in_phases(p), fmt::format("{} {} threads phased", what, threads));
        }
      }
    }
  }
}

TEST_F(RowSameBits, InPlace) {
  for (const RowForm& form : {elements(33, 130), grouped(kFirst, 5, 2, 3, 40),
                              grouped(kLast, 5, 7, 3, 40), grouped(kLast, 2, 2, 20, 40)}) {
    Problem p(form);
    // Some rows are done in double, value by value.
    for (std::int64_t i = 0; i < form.s; ++i) {
      for (std::int64_t c = 0; c < form.channels; ++c)
        p.x.data<float>()[form.at(1, 0, c, i)] *= 1e25F;
    }
    for (const std::string& isa : available_isas()) {
      SCOPED_TRACE(fmt::format("{} {}", isa, form.str()));
      force_isa(isa);
      const Result expected = whole(p);
      RowCall call(form, p.x.clone(), p.gamma, p.beta);
      forward_rows(call.in(), call.affine(), call.norm, call.out(call.x), &call.state,
                   call.workspace);
      EXPECT_TRUE(same_bits(call.x, expected.y));
      for (const bool over_dy : {true, false}) {
        Tensor x = p.x.clone(), dy = p.dy.clone();
        Tensor dgamma = Tensor::zeros({form.parameters()}), dbeta = dgamma.clone();
        Tensor& dx = over_dy ? dy : x;
        backward_rows(call.like(x), call.like(dy), call.affine(), call.state, Centre::mean,
                      call.out(dx), VectorView(dgamma), VectorView(dbeta), call.workspace);
        EXPECT_TRUE(same_bits(dx, expected.dx));
        EXPECT_TRUE(same_bits(dgamma, expected.dgamma));
      }
    }
  }
}

TEST_F(RowSameBits, Misaligned) {
  for (const RowForm& form : {elements(33, 130), grouped(kLast, 5, 7, 3, 40)}) {
    const Problem p(form);
    const Result expected = whole(p);
    // Four bytes past an aligned address.
    Tensor room = Tensor::zeros({form.numel() + 1}), out = room.clone();
    std::memcpy(room.data<float>() + 1, p.x.raw(), p.x.bytes());
    RowCall call = p.call();
    forward_rows(form.view(static_cast<const void*>(room.data<float>() + 1), DType::f32),
                 call.affine(), call.norm,
                 form.view(static_cast<void*>(out.data<float>() + 1), DType::f32), &call.state,
                 call.workspace);
    EXPECT_EQ(std::memcmp(out.data<float>() + 1, expected.y.raw(), expected.y.bytes()), 0);
  }
}

TEST_F(RowSameBits, NothingWantedChangesNothingElse) {
  for (const RowForm& form : {elements(33, 130), grouped(kFirst, 5, 2, 3, 40)}) {
    const Problem p(form);
    const Result expected = whole(p);
    RowCall call = p.call();
    Tensor y = call.poisoned(), dx = call.poisoned();
    forward_rows(call.in(), call.affine(), call.norm, call.out(y), nullptr, call.workspace);
    EXPECT_TRUE(same_bits(y, expected.y)) << "without a state";
    call.forward();
    backward_rows(call.in(), call.like(p.dy), call.affine(), call.state, Centre::mean, call.out(dx),
                  {}, {}, call.workspace);
    EXPECT_TRUE(same_bits(dx, expected.dx)) << "without dgamma and dbeta";
  }
}

TEST_F(RowSameBits, FloatAndDoubleParametersOfTheSameValuesAreTheSame) {
  for (const RowForm& form : {elements(33, 130), grouped(kLast, 5, 7, 3, 40)}) {
    const Problem p(form);
    const Result expected = whole(p);
    RowCall call(form, p.x, p.gamma.to(DType::f64), p.beta.to(DType::f64));
    EXPECT_TRUE(same_bits(call.forward(), expected.y));
    EXPECT_TRUE(same_bits(call.backward(p.dy).dx, expected.dx));
  }
}

/// One group is layer norm over [C, S] where γ and β are the same at every position.
TEST_F(RowSameBits, OneGroupIsLayerNorm) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const Layout layout : {kFirst, kLast}) {
      const Problem p(grouped(layout, 5, 1, 13, 77));
      const Result group = whole(p);
      Problem layer = p;
      layer.form = elements(5, 13 * 77);
      for (Tensor Problem::*values : {&Problem::gamma, &Problem::beta}) {
        layer.*values = Tensor::empty({13 * 77});
        for (std::int64_t c = 0; c < 13; ++c) {
          for (std::int64_t s = 0; s < 77; ++s) {
            (layer.*values).data<float>()[p.form.at(0, 0, c, s)] =
                std::as_const(p.*values).data<float>()[c];
          }
        }
      }
      const Result expected = whole(layer);
      EXPECT_TRUE(same_bits(group.mean, expected.mean)) << isa << name_of(layout);
      EXPECT_TRUE(same_bits(group.inv_std, expected.inv_std)) << isa << name_of(layout);
      EXPECT_TRUE(same_bits(group.y, expected.y)) << isa << name_of(layout);
      // The sums behind dx are taken per channel and per element.
      for (std::int64_t i = 0; i < p.x.numel(); ++i) {
        const double want =
            static_cast<double>(expected.dx.span<float>()[static_cast<std::size_t>(i)]);
        ASSERT_NEAR(static_cast<double>(group.dx.span<float>()[static_cast<std::size_t>(i)]), want,
                    2e-6 * std::max(1.0, std::abs(want)));
      }
    }
  }
}

/// Large outputs bypass the cache.
TEST_F(RowSameBits, LargeOutputsAreThoseOfTheirParts) {
  constexpr std::int64_t kParts = 3;
  for (const RowForm& form :
       {elements(kParts * 4, 800003), grouped(kFirst, kParts * 4, 2, 200, 2001),
        grouped(kLast, kParts * 4, 12, 4, 16700), grouped(kLast, kParts * 4, 3, 11, 25000)}) {
    const std::int64_t values = form.numel() / kParts;
    ASSERT_GE(form.numel() * 4, std::int64_t{32} << 20);
    ASSERT_LT(values * 4, std::int64_t{32} << 20);
    Problem all(form);
    const Result got = whole(all);
    Problem part = all;
    part.form.n = form.n / kParts;
    for (std::int64_t i = 0; i < kParts; ++i) {
      part.x = all.x.slice(i * values, (i + 1) * values);
      part.dy = all.dy.slice(i * values, (i + 1) * values);
      const Result expected = whole(part);
      EXPECT_TRUE(same_bits(got.y.slice(i * values, (i + 1) * values), expected.y)) << form.str();
      EXPECT_TRUE(same_bits(got.dx.slice(i * values, (i + 1) * values), expected.dx)) << form.str();
    }
  }
}

/// A row alone and among others.
TEST_F(RowSameBits, ARowDoesNotDependOnItsNeighbours) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    const Problem all(elements(11, 515));
    const Result expected = whole(all);
    for (std::int64_t row = 0; row < 11; ++row) {
      Problem one = all;
      one.form = elements(1, 515);
      one.x = all.x.slice(row * 515, (row + 1) * 515);
      one.dy = all.dy.slice(row * 515, (row + 1) * 515);
      const Result got = whole(one);
      EXPECT_TRUE(same_bits(got.y, expected.y.slice(row * 515, (row + 1) * 515)));
      EXPECT_TRUE(same_bits(got.dx, expected.dx.slice(row * 515, (row + 1) * 515)));
    }
  }
}

TEST_F(RowSameBits, NonFiniteValuesSpoilTheirOwnRowAlone) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const RowForm& form :
         {elements(11, 130), grouped(kFirst, 4, 3, 2, 40), grouped(kLast, 4, 9, 3, 40),
          grouped(kLast, 4, 2, 20, 40), grouped(kLast, 4, 1, 20, 40)}) {
      for (const Centre centre : {Centre::mean, Centre::zero}) {
        const Problem p(form, {1e-5, centre});
        const Result clean = whole(p);
        for (const float bad : {NAN, INFINITY, -INFINITY, 1e30F}) {
          for (const bool in_dy : {false, true}) {
            SCOPED_TRACE(fmt::format("{} {} {} {}", isa, form.str(), bad, in_dy));
            Problem spoiled = p;
            Tensor& values = in_dy ? spoiled.dy : spoiled.x;
            values = values.clone();
            const std::int64_t n = 2, g = form.groups - 1;
            values.data<float>()[form.at(n, g, 1, form.s - 1)] = bad;
            const Result r = whole(spoiled);
            std::vector<bool> own(static_cast<std::size_t>(form.numel()));
            for (std::int64_t c = 0; c < form.channels; ++c) {
              for (std::int64_t s = 0; s < form.s; ++s) {
                own[static_cast<std::size_t>(form.at(n, g, c, s))] = true;
              }
            }
            for (std::size_t i = 0; i < own.size(); ++i) {
              const auto at = [i](const Tensor& t) { return t.span<float>()[i]; };
              if (!own[i]) {
                ASSERT_EQ(at(r.y), at(clean.y)) << i;
                ASSERT_EQ(at(r.dx), at(clean.dx)) << i;
              } else if (!std::isfinite(bad)) {
                // RMS norm maps ±Inf to NaN and the rest of its row to 0.
                if (!in_dy && centre == Centre::mean) {
                  ASSERT_TRUE(std::isnan(at(r.y))) << i;
                }
                ASSERT_FALSE(std::isfinite(at(r.dx)) && centre == Centre::mean) << i;
              }
            }
            // γ and β of other channels are untouched.
            for (std::int64_t k = 0; k < g * form.channels; ++k) {
              const auto i = static_cast<std::size_t>(k);
              ASSERT_EQ(r.dgamma.span<float>()[i], clean.dgamma.span<float>()[i]);
              ASSERT_EQ(r.dbeta.span<float>()[i], clean.dbeta.span<float>()[i]);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace evenkeel::norm::testing
