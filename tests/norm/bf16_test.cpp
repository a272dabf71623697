// Activations stored in bf16: the f32 operators on the widened values, rounded once where they are
// stored. Statistics, gradients of γ and β and the mask are the very same.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "support.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/norm/isa.h>

namespace evenkeel::norm::testing {
namespace {

/// Activations of bf16 numbers, in either dtype.
struct Problem {
  Tensor x, dy, add, gamma, beta;

  Problem(const Shape& shape, Layout layout, std::uint64_t seed = 1, double mean = 3,
          double stddev = 2)
      : x(random_normal(shape, seed, mean, stddev, DType::bf16, layout)),
        dy(random_normal(shape, seed + 1, 0, 1, DType::bf16, layout)),
        add(random_normal(shape, seed + 2, 0, 1, DType::bf16, layout)),
        gamma(random_normal({shape[1]}, seed + 3, 1, 0.5)),
        beta(random_normal({shape[1]}, seed + 4, 0, 1)) {}

  Problem to(DType dtype) const {
    Problem other = *this;
    for (Tensor* t : {&other.x, &other.dy, &other.add}) *t = t->to(dtype);
    return other;
  }
};

enum class Mode { whole, phases, in_place, frozen };

struct Options {
  Mode mode = Mode::whole;
  Activation activation = Activation::none;
  bool add = false;
  std::int64_t offset = 0;  // of the outputs, in elements

  std::string str() const {
    return fmt::format("mode {} activation {} add {} offset {}", static_cast<int>(mode),
                       static_cast<int>(activation), add, offset);
  }
};

/// An output in poisoned memory, some elements behind a line.
struct Output {
  Tensor like, room;
  std::int64_t offset;

  Output(const Tensor& x, std::int64_t elements)
      : like(x), room(Tensor::full({x.numel() + elements}, NAN, x.dtype())), offset(elements) {}

  std::byte* data() {
    return static_cast<std::byte*>(room.raw()) +
           static_cast<std::size_t>(offset) * size_of(like.dtype());
  }
  ChannelView out() {
    const ConstChannelView v = view(like);
    return {data(), v.dtype, v.layout, v.n, v.c, v.s};
  }
  Tensor copy() {
    Tensor t = Tensor::like(like);
    std::memcpy(t.raw(), data(), t.bytes());
    return t;
  }
};

struct Result {
  Tensor y, dx, dadd, dgamma, dbeta;
  std::vector<std::byte> state;
};

Result run(const Problem& p, const Options& options) {
  Epilogue epilogue{options.activation, 0.3, std::nullopt};
  if (options.add) epilogue.add = view(p.add);
  BatchNormCall call(p.x, p.gamma, p.beta, epilogue);
  std::memset(call.state_memory.get(), 0, state_size(call.in_view(), epilogue));
  const ConstChannelView x = view(p.x), dy = view(p.dy);
  const auto channels = static_cast<std::size_t>(x.c);
  std::vector<double> a(channels, 2.5), b(channels, 4), c(channels);
  Output y(p.x, options.offset), dx(p.x, options.offset), dadd(p.x, options.offset);
  Result r{{}, {}, {}, Tensor::zeros({x.c}), Tensor::zeros({x.c}), {}};
  const std::optional<ChannelView> sum =
      options.add ? std::optional(dadd.out()) : std::optional<ChannelView>();
  const VectorView dgamma(r.dgamma), dbeta(r.dbeta);
  const Affine affine = call.affine();
  switch (options.mode) {
    case Mode::whole:
      forward_train(x, affine, call.eps, nullptr, epilogue, y.out(), call.state, call.workspace);
      backward_train(x, dy, affine, call.state, epilogue, dx.out(), dgamma, dbeta, sum,
                     call.workspace);
      break;
    case Mode::phases: {
      collect(x, {a, b, c}, call.workspace);
      finalize({a, b, c}, call.eps, call.state);
      normalize(x, call.state, affine, epilogue, y.out(), call.workspace);
      const GradientSums sums{b, c};
      reduce_gradients(x, dy, call.state, epilogue, sums, call.workspace);
      accumulate_affine_gradients(call.state, sums, dgamma, dbeta);
      propagate(x, dy, call.state, affine, epilogue, sums, a[0], dx.out(), sum, call.workspace);
      break;
    }
    case Mode::in_place: {
      std::memcpy(y.data(), p.x.raw(), p.x.bytes());
      std::memcpy(dx.data(), p.dy.raw(), p.dy.bytes());
      forward_train(y.out(), affine, call.eps, nullptr, epilogue, y.out(), call.state,
                    call.workspace);
      backward_train(x, dx.out(), affine, call.state, epilogue, dx.out(), dgamma, dbeta, sum,
                     call.workspace);
      break;
    }
    case Mode::frozen:
      forward_infer(x, affine, call.eps, a, b, epilogue, y.out(), &call.state, call.workspace);
      backward_infer(x, dy, affine, call.state, epilogue, dx.out(), dgamma, dbeta, sum,
                     call.workspace);
      break;
  }
  r.y = y.copy();
  r.dx = dx.copy();
  if (options.add) r.dadd = dadd.copy();
  r.state.assign(call.state_memory.get(),
                 call.state_memory.get() + state_size(call.in_view(), epilogue));
  return r;
}

/// Empty, or what differs.
std::string difference(const Result& bf16_result, const Result& f32_result) {
  if (!same_bits(bf16_result.y, f32_result.y.to(DType::bf16))) return "y";
  if (!same_bits(bf16_result.dx, f32_result.dx.to(DType::bf16))) return "dx";
  if (f32_result.dadd.defined() && !same_bits(bf16_result.dadd, f32_result.dadd.to(DType::bf16))) {
    return "dadd";
  }
  if (!same_bits(bf16_result.dgamma, f32_result.dgamma)) return "dgamma";
  if (!same_bits(bf16_result.dbeta, f32_result.dbeta)) return "dbeta";
  return bf16_result.state == f32_result.state ? "" : "state";
}

class Bf16 : public ::testing::TestWithParam<Layout> {
 protected:
  void TearDown() override {
    set_max_threads(threads_);
    force_isa("");
  }
  int threads_ = max_threads();
};

TEST_P(Bf16, IsTheF32ResultRounded) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const Shape& shape : {Shape{4, 3, 33, 41}, Shape{8, 130, 7, 7}, Shape{300, 67},
                               Shape{2, 1, 9000}, Shape{5, 200, 3}, Shape{2, 9, 2}}) {
      const Problem p(shape, GetParam());
      const Problem wide = p.to(DType::f32);
      for (const Activation activation :
           {Activation::none, Activation::relu, Activation::leaky_relu}) {
        for (const bool add : {false, true}) {
          for (const Mode mode : {Mode::whole, Mode::phases, Mode::in_place, Mode::frozen}) {
            const Options options{mode, activation, add, mode == Mode::whole ? 1 : 0};
            set_max_threads(1);
            const Result expected = run(wide, options);
            const bool best = isa == available_isas().front();
            for (const int threads : best ? std::vector{1, 2, 3, 8} : std::vector{1, 3}) {
              set_max_threads(threads);
              EXPECT_EQ(difference(run(p, options), expected), "")
                  << fmt::format("{} {} {} {} threads", isa, shape.str(), options.str(), threads);
            }
          }
        }
      }
    }
  }
}

/// Of 4 MiB and more: rows that begin on cache lines, rows that do not, and outputs that do not.
/// The reference bypasses nothing.
TEST_P(Bf16, IsTheF32ResultRoundedWhereOutputsBypassTheCache) {
  for (const Shape& shape : {Shape{8, 64, 66, 66}, Shape{9, 40, 80, 80}}) {
    const Problem p(shape, GetParam());
    const Problem wide = p.to(DType::f32);
    for (const std::string& isa : available_isas()) {
      if (isa == "reference") continue;
      force_isa(isa);
      for (const Options& options :
           {Options{Mode::whole}, Options{Mode::whole, Activation::leaky_relu, true, 7},
            Options{Mode::frozen, Activation::relu, true}}) {
        EXPECT_EQ(difference(run(p, options), run(wide, options)), "")
            << isa << " " << shape.str() << " " << options.str();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, Bf16,
                         ::testing::Values(Layout::channels_first, Layout::channels_last));

/// Every number of bf16, NaNs and denormals too, widened and with another number added.
TEST(Bf16Rounding, IsThatOfTheCoreForEveryNumber) {
  Tensor x = Tensor::empty({1024, 64}, DType::bf16);
  for (std::size_t i = 0; i < 65536; ++i) x.span<bf16>()[i].bits = static_cast<std::uint16_t>(i);
  std::vector<double> mean(64), var(64, 1);
  std::vector<float> gamma(64, 1), beta(64);
  for (std::size_t c = 0; c < 64; ++c) {
    beta[c] = c % 2 == 0 ? 0.F : std::ldexp(1.1F, static_cast<int>(c) * 4 - 150);
    gamma[c] = c < 32 ? 1.F : 1.00001F;
  }
  const Affine affine{std::span<const float>(gamma), std::span<const float>(beta)};
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    const auto infer = [&](const Tensor& in) {
      Tensor y = Tensor::like(in);
      std::vector<std::byte> workspace(workspace_size(view(in)));
      forward_infer(view(in), affine, 0, mean, var, {}, view(y), nullptr, workspace);
      return y;
    };
    EXPECT_TRUE(same_bits(infer(x), infer(x.to(DType::f32)).to(DType::bf16))) << isa;
  }
  force_isa("");
}

/// NaNs that rounding would carry into zero, numbers that round to infinity and just do not, and
/// denormals.
const std::vector<std::uint32_t> kSpecialBits{0x7fffffffu, 0xffffffffu, 0x7f800001u, 0x7f7fffffu,
                                              0x7f7f8000u, 0x7f7f7fffu, 0x00008000u, 0x80008001u,
                                              0x007fffffu, 0x7f800000u};

/// β of any bits, many of them between two numbers of bf16 exactly, in every lane.
RC_GTEST_PROP(Bf16Rounding, IsToNearestTiesToEven, ()) {
  const auto width = *rc::gen::inRange<std::int64_t>(1, 200);
  std::vector<float> beta(static_cast<std::size_t>(width));
  for (float& b : beta) {
    auto bits = *rc::gen::arbitrary<std::uint32_t>();
    if (bits % 3 == 0) bits = (bits & 0xffff0000u) | 0x8000u;
    if (bits % 3 == 1) bits = *rc::gen::elementOf(kSpecialBits);
    b = std::bit_cast<float>(bits);
  }
  const Tensor x = Tensor::zeros({3, width}, DType::bf16);
  std::vector<double> mean(beta.size()), var(beta.size(), 1);
  std::vector<std::byte> workspace(workspace_size(view(x)));
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    Tensor y = Tensor::full(x.shape(), 7, DType::bf16);
    forward_infer(view(x), {{}, std::span<const float>(beta)}, 0, mean, var, {}, view(y), nullptr,
                  workspace);
    for (std::size_t i = 0; i < 3 * beta.size(); ++i) {
      const float expected = beta[i % beta.size()];
      const float got = static_cast<float>(std::as_const(y).span<bf16>()[i]);
      if (std::isnan(expected)) {
        RC_ASSERT(std::isnan(got));
      } else if (expected != 0) {
        RC_ASSERT(std::as_const(y).span<bf16>()[i].bits == bf16(expected).bits);
      }
    }
  }
  force_isa("");
}

RC_GTEST_PROP(Bf16Property, RandomShapesAndValuesAreTheF32ResultRounded, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto c = *rc::gen::inRange<std::int64_t>(1, 150);
  const auto s = *rc::gen::inRange<std::int64_t>(1, 150);
  RC_PRE(n * s > 1);
  const auto layout = *rc::gen::element(Layout::channels_first, Layout::channels_last);
  const double size = std::pow(10.0, *rc::gen::element(0, 0, 3, -20, 20, 37, -38));
  const double mean = *rc::gen::element(0.0, 1.0, 300.0);
  const auto seed = static_cast<std::uint64_t>(*rc::gen::inRange(0, 1000000));
  const Problem p({n, c, s}, layout, seed, mean * size, size);
  const Options options{
      *rc::gen::element(Mode::whole, Mode::phases, Mode::in_place, Mode::frozen),
      *rc::gen::element(Activation::none, Activation::relu, Activation::leaky_relu),
      *rc::gen::arbitrary<bool>(), *rc::gen::inRange<std::int64_t>(0, 40)};
  const std::string isa = *rc::gen::elementOf(available_isas());
  force_isa(isa);
  const std::string wrong = difference(run(p, options), run(p.to(DType::f32), options));
  force_isa("");
  RC_LOG() << isa << " " << options.str() << " size " << size;
  RC_ASSERT(wrong == "");
}

/// bf16 holds 8 bits, of which the last is rounded: next to them the statistics must not show.
TEST(Bf16Accuracy, IsThatOfTheStoredNumbers) {
  const Problem p({16, 20, 500}, Layout::channels_first, 1, 100, 1);
  const std::vector<double> ones(20, 1.0), zeros(20, 0.0);
  const Oracle oracle(p.x, p.dy, ones, zeros, 1e-5);
  BatchNormCall call(p.x, Tensor(), Tensor());
  const Tensor y = call.forward().to(DType::f64);
  for (std::size_t i = 0; i < oracle.y.size(); ++i) {
    ASSERT_LE(std::abs(y.span<double>()[i] - oracle.y[i]),
              std::abs(oracle.y[i]) * (1.0 / 256) + 1e-6);
  }
}

}  // namespace
}  // namespace evenkeel::norm::testing
