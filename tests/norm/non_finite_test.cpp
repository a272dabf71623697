// NaN, infinities and the ends of float's range in every input: what they spoil, and nothing else.
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "support.h"
#include <evenkeel/norm/isa.h>

namespace evenkeel::norm::testing {
namespace {

constexpr std::int64_t kN = 6, kC = 19, kS = 30, kBad = 7;

/// Inputs, one channel of which may be spoiled.
struct Inputs {
  Tensor x, dy, add, gamma, beta;
  std::vector<double> mean = std::vector<double>(kC, 3.0), var = std::vector<double>(kC, 4.0);

  explicit Inputs(Layout layout)
      : x(random_normal({kN, kC, kS}, 1, 3, 2, DType::f32, layout)),
        dy(random_normal({kN, kC, kS}, 2, 0, 1, DType::f32, layout)),
        add(random_normal({kN, kC, kS}, 3, 0, 1, DType::f32, layout)),
        gamma(random_normal({kC}, 4, 1, 0.5)),
        beta(random_normal({kC}, 5, 0, 1)) {}
};

struct Outputs {
  Tensor y, dx, dadd, dgamma, dbeta;
};

Outputs run(const Inputs& in, Activation activation, bool train, DType dtype = DType::f32) {
  const Tensor add = in.add.to(dtype);
  BatchNormCall call(in.x.to(dtype), in.gamma, in.beta, {activation, 0.2, view(add)});
  Outputs out;
  if (train) {
    out.y = call.forward();
  } else {
    out.y = call.poisoned();
    forward_infer(call.in_view(), call.affine(), call.eps, in.mean, in.var, call.epilogue,
                  view(out.y), &call.state, call.workspace);
  }
  auto g = call.backward(in.dy.to(dtype), train);
  out.dx = g.dx;
  out.dadd = g.dadd;
  out.dgamma = g.dgamma;
  out.dbeta = g.dbeta;
  return out;
}

/// Everything but channel kBad keeps its bits.
void expect_confined(const Outputs& clean, const Outputs& spoiled) {
  const auto bits = [](float value) { return std::bit_cast<std::uint32_t>(value); };
  const auto same = [&](const Tensor& a, const Tensor& b, std::int64_t i) {
    return bits(a.data<float>()[i]) == bits(b.data<float>()[i]);
  };
  for (std::int64_t c = 0; c < kC; ++c) {
    if (c == kBad) continue;
    ASSERT_TRUE(same(clean.dgamma, spoiled.dgamma, c)) << "dgamma of channel " << c;
    ASSERT_TRUE(same(clean.dbeta, spoiled.dbeta, c)) << "dbeta of channel " << c;
    for (std::int64_t n = 0; n < kN; ++n) {
      for (std::int64_t s = 0; s < kS; ++s) {
        const std::int64_t i = offset(clean.y, n, c, s);
        ASSERT_TRUE(same(clean.y, spoiled.y, i)) << "y of channel " << c;
        ASSERT_TRUE(same(clean.dx, spoiled.dx, i)) << "dx of channel " << c;
        ASSERT_TRUE(same(clean.dadd, spoiled.dadd, i)) << "dadd of channel " << c;
      }
    }
  }
}

/// Channel kBad is what double computes, as far as float can hold it.
void expect_as_double(const Outputs& narrow, const Outputs& wide) {
  const auto check = [](const Tensor& a, const Tensor& b, double scale, std::int64_t i,
                        const char* name) {
    const double want = b.data<double>()[i];
    const auto have = static_cast<double>(a.data<float>()[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(have)) << name << ": " << have;
    } else if (std::abs(want) > static_cast<double>(std::numeric_limits<float>::max())) {
      ASSERT_FALSE(std::isfinite(have)) << name << ": " << have << " for " << want;
    } else {
      ASSERT_NEAR(have, want, 1e-5 * scale) << name;
    }
  };
  const auto largest = [](const Tensor& b, double at_least) {
    double scale = at_least;
    for (std::int64_t n = 0; n < kN; ++n) {
      for (std::int64_t s = 0; s < kS; ++s) {
        const double size = std::abs(b.data<double>()[offset(b, n, kBad, s)]);
        if (std::isfinite(size)) scale = std::max(scale, size);
      }
    }
    return scale;
  };
  const double y_scale = largest(wide.y, 1), dx_scale = largest(wide.dx, 1e-30),
               dadd_scale = largest(wide.dadd, 1e-30);
  for (std::int64_t n = 0; n < kN; ++n) {
    for (std::int64_t s = 0; s < kS; ++s) {
      const std::int64_t i = offset(narrow.y, n, kBad, s);
      check(narrow.y, wide.y, y_scale, i, "y");
      check(narrow.dx, wide.dx, dx_scale, i, "dx");
      check(narrow.dadd, wide.dadd, dadd_scale, i, "dadd");
    }
  }
}

using Spoil = std::function<void(Inputs&, float)>;

const std::vector<std::pair<std::string, Spoil>>& places() {
  static const std::vector<std::pair<std::string, Spoil>> table{
      {"x", [](Inputs& in, float v) { in.x.data<float>()[offset(in.x, 2, kBad, 3)] = v; }},
      {"dy", [](Inputs& in, float v) { in.dy.data<float>()[offset(in.dy, 4, kBad, 29)] = v; }},
      {"the added tensor",
       [](Inputs& in, float v) { in.add.data<float>()[offset(in.add, 0, kBad, 0)] = v; }},
      {"gamma", [](Inputs& in, float v) { in.gamma.data<float>()[kBad] = v; }},
      {"beta", [](Inputs& in, float v) { in.beta.data<float>()[kBad] = v; }},
      {"the running mean", [](Inputs& in, float v) { in.mean[kBad] = static_cast<double>(v); }},
      {"the running variance", [](Inputs& in, float v) { in.var[kBad] = static_cast<double>(v); }},
  };
  return table;
}

class BadValues : public ::testing::TestWithParam<std::tuple<Layout, Activation>> {
 protected:
  void TearDown() override { force_isa(""); }

  /// f(inputs with `bad` in one place, the outputs without it, with it, in training or not)
  void for_each_place(
      std::span<const float> values,
      const std::function<void(const Outputs&, const Outputs&, const Inputs&, bool)>& check) {
    const auto [layout, activation] = GetParam();
    for (const std::string& isa : available_isas()) {
      force_isa(isa);
      for (const bool train : {true, false}) {
        const Outputs clean = run(Inputs(layout), activation, train);
        for (const auto& [name, spoil] : places()) {
          for (const float bad : values) {
            SCOPED_TRACE(fmt::format("{} {} in {} {}", isa, bad, name, train ? "train" : "infer"));
            Inputs inputs(layout);
            spoil(inputs, bad);
            check(clean, run(inputs, activation, train), inputs, train);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Kinds, BadValues,
                         ::testing::Combine(::testing::Values(Layout::channels_first,
                                                              Layout::channels_last),
                                            ::testing::Values(Activation::none, Activation::relu,
                                                              Activation::leaky_relu)));

TEST_P(BadValues, ThatAreNotFiniteSpoilTheirChannelAlone) {
  const std::vector<float> values{NAN, INFINITY, -INFINITY};
  for_each_place(values, [](const Outputs& clean, const Outputs& spoiled, const Inputs&, bool) {
    expect_confined(clean, spoiled);
  });
}

TEST_P(BadValues, AtTheEndsOfTheRangeAreComputedAsInDouble) {
  const std::vector<float> values{1e30F, -1e30F, 1e37F, 1e-30F, 1e-40F, 0x1p-149F, 0.0F};
  const Activation activation = std::get<1>(GetParam());
  for_each_place(
      values, [&](const Outputs& clean, const Outputs& spoiled, const Inputs& inputs, bool train) {
        expect_confined(clean, spoiled);
        expect_as_double(spoiled, run(inputs, activation, train, DType::f64));
      });
}

}  // namespace
}  // namespace evenkeel::norm::testing
