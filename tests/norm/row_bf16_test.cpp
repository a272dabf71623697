// Rows stored in bf16: the f32 operators on the widened values, rounded once where they are stored.
// Statistics and gradients of γ and β are the very same.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "row_support.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/norm/isa.h>

namespace evenkeel::norm::testing {
namespace {

constexpr Layout kFirst = Layout::channels_first;
constexpr Layout kLast = Layout::channels_last;

/// Activations of bf16 numbers.
struct Problem {
  RowForm form;
  RowNorm norm;
  Tensor x, dy, gamma, beta;

  explicit Problem(const RowForm& rows, RowNorm settings = {}, std::uint64_t seed = 1,
                   double mean = 3, double stddev = 2)
      : form(rows),
        norm(settings),
        x(random_normal({form.numel()}, seed, mean, stddev, DType::bf16)),
        dy(random_normal({form.numel()}, seed + 1, 0, 1, DType::bf16)),
        gamma(random_normal({form.parameters()}, seed + 2, 1, 0.5)),
        beta(random_normal({form.parameters()}, seed + 3, 0, 1)) {}
};

enum class Mode { whole, phases, in_place };

struct Result {
  Tensor y, dx, dgamma, dbeta;
  std::vector<double> state;
};

/// The outputs begin `offset` elements behind a line.
Result run(const Problem& p, DType dtype, Mode mode = Mode::whole, std::int64_t offset = 0) {
  const Tensor x = p.x.to(dtype), dy = p.dy.to(dtype);
  RowCall call(p.form, x, p.gamma, p.beta, p.norm);
  Tensor y = Tensor::full({x.numel() + offset}, NAN, dtype);
  Tensor dx = Tensor::full({x.numel() + offset}, NAN, dtype);
  const auto begin = [&](Tensor& t) {
    return static_cast<std::byte*>(t.raw()) + static_cast<std::size_t>(offset) * size_of(dtype);
  };
  const RowView out = p.form.view(static_cast<void*>(begin(y)), dtype);
  const RowView out_dx = p.form.view(static_cast<void*>(begin(dx)), dtype);
  ConstRowView in = call.in(), in_dy = call.like(dy);
  if (mode == Mode::in_place) {
    std::memcpy(begin(y), x.raw(), x.bytes());
    std::memcpy(begin(dx), dy.raw(), dy.bytes());
    in = out;
    in_dy = out_dx;
  }
  if (mode == Mode::phases) {
    const auto rows = static_cast<std::size_t>(p.form.rows());
    std::vector<double> count(rows), mean(rows), m2(rows);
    collect_rows(in, p.norm.centre, {count, mean, m2}, call.workspace);
    finalize_rows({count, mean, m2}, p.norm.eps, call.state);
    normalize_rows(in, call.state, call.affine(), out, call.workspace);
  } else {
    forward_rows(in, call.affine(), p.norm, out, &call.state, call.workspace);
  }
  Result r{Tensor::like(x),
           Tensor::like(x),
           Tensor::zeros({p.form.parameters()}),
           Tensor::zeros({p.form.parameters()}),
           {}};
  backward_rows(call.in(), in_dy, call.affine(), call.state, p.norm.centre, out_dx,
                VectorView(r.dgamma), VectorView(r.dbeta), call.workspace);
  std::memcpy(r.y.raw(), begin(y), r.y.bytes());
  std::memcpy(r.dx.raw(), begin(dx), r.dx.bytes());
  for (const auto& span : {call.state.mean, call.state.var, call.state.inv_std}) {
    r.state.insert(r.state.end(), span.begin(), span.end());
  }
  return r;
}

/// Empty, or what differs.
std::string difference(const Result& bf16_result, const Result& f32_result) {
  if (!same_bits(bf16_result.y, f32_result.y.to(DType::bf16))) return "y";
  if (!same_bits(bf16_result.dx, f32_result.dx.to(DType::bf16))) return "dx";
  if (!same_bits(bf16_result.dgamma, f32_result.dgamma)) return "dgamma";
  if (!same_bits(bf16_result.dbeta, f32_result.dbeta)) return "dbeta";
  // Bits: a row of infinities has NaN for its variance.
  const auto& a = bf16_result.state;
  const auto& b = f32_result.state;
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0 ? "" : "state";
}

class RowBf16 : public ::testing::Test {
 protected:
  void TearDown() override {
    set_max_threads(threads_);
    force_isa("");
  }
  int threads_ = max_threads();
};

TEST_F(RowBf16, IsTheF32ResultRounded) {
  for (const RowForm& form : {elements(1, 100000), elements(3, 50001), elements(67, 777),
                              elements(300, 67), elements(2, 5), grouped(kFirst, 37, 3, 20, 1),
                              grouped(kFirst, 1, 2, 3, 20000), grouped(kFirst, 8, 26, 5, 49),
                              grouped(kLast, 1, 1, 40, 1681), grouped(kLast, 1, 67, 1, 3000),
                              grouped(kLast, 8, 26, 5, 49), grouped(kLast, 2, 2, 70, 900)}) {
    for (const Centre centre : {Centre::mean, Centre::zero}) {
      const Problem p(form, {1e-5, centre});
      for (const std::string& isa : available_isas()) {
        force_isa(isa);
        for (const Mode mode : {Mode::whole, Mode::phases, Mode::in_place}) {
          const std::int64_t offset = mode == Mode::whole ? 1 : 0;
          set_max_threads(1);
          const Result expected = run(p, DType::f32, mode, offset);
          const bool best = isa == available_isas().front();
          for (const int threads : best ? std::vector{1, 2, 3, 8} : std::vector{1, 3}) {
            set_max_threads(threads);
            EXPECT_EQ(difference(run(p, DType::bf16, mode, offset), expected), "") << fmt::format(
                "{} {} mode {} {} threads", isa, form.str(), static_cast<int>(mode), threads);
          }
        }
      }
    }
  }
}

/// Of 4 MiB and more. The reference bypasses nothing.
TEST_F(RowBf16, IsTheF32ResultRoundedWhereOutputsBypassTheCache) {
  for (const RowForm& form : {elements(3000, 777), grouped(kFirst, 9, 4, 16, 3700),
                              grouped(kLast, 9, 4, 16, 3700), grouped(kLast, 9, 60, 1, 4000)}) {
    const Problem p(form);
    for (const std::string& isa : available_isas()) {
      if (isa == "reference") continue;
      force_isa(isa);
      for (const std::int64_t offset : {0, 7}) {
        EXPECT_EQ(difference(run(p, DType::bf16, Mode::whole, offset),
                             run(p, DType::f32, Mode::whole, offset)),
                  "")
            << fmt::format("{} {} offset {}", isa, form.str(), offset);
      }
    }
  }
}

RC_GTEST_PROP(RowBf16Property, RandomFormsAndValuesAreTheF32ResultRounded, ()) {
  const RowForm form{*rc::gen::element(kFirst, kLast), *rc::gen::inRange<std::int64_t>(1, 20),
                     *rc::gen::inRange<std::int64_t>(1, 12), *rc::gen::inRange<std::int64_t>(1, 70),
                     *rc::gen::inRange<std::int64_t>(1, 80)};
  const double size = std::pow(10.0, *rc::gen::element(0, 0, 3, -20, 20, 37, -38));
  const double mean = *rc::gen::element(0.0, 1.0, 300.0);
  const auto seed = static_cast<std::uint64_t>(*rc::gen::inRange(0, 1000000));
  const Problem p(form, {1e-5, *rc::gen::element(Centre::mean, Centre::zero)}, seed, mean * size,
                  size);
  const Mode mode = *rc::gen::element(Mode::whole, Mode::phases, Mode::in_place);
  const auto offset = *rc::gen::inRange<std::int64_t>(0, 40);
  const std::string isa = *rc::gen::elementOf(available_isas());
  force_isa(isa);
  const std::string wrong =
      difference(run(p, DType::bf16, mode, offset), run(p, DType::f32, mode, offset));
  force_isa("");
  RC_LOG() << isa << " " << form.str() << " size " << size;
  RC_ASSERT(wrong == "");
}

}  // namespace
}  // namespace evenkeel::norm::testing
