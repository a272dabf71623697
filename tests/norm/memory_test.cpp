// Outputs in the memory of inputs, memory at odd addresses, beside forbidden pages and read-only:
// the bits of the plain call, and inputs as they were.
#include <gtest/gtest.h>

#include "pages.h"
#include "support.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/norm/isa.h>

namespace evenkeel::norm::testing {
namespace {

using evenkeel::testing::Pages;

/// Inputs, and every result of the plain calls on them.
struct Plain {
  Tensor x, dy, add, gamma, beta;
  Epilogue epilogue;
  std::vector<double> mean, var;  // of forward_infer
  Tensor y, dx, dadd, dgamma, dbeta, y_infer, dx_infer;

  Plain(const Shape& shape, DType dtype, Layout layout, Activation activation, double scale) {
    x = random_normal(shape, 1, 3 * scale, 2 * scale, dtype, layout);
    dy = random_normal(shape, 2, 0, 1, dtype, layout);
    add = random_normal(shape, 3, 0, 1, dtype, layout);
    gamma = random_normal({shape[1]}, 4, 1, 0.5);
    beta = random_normal({shape[1]}, 5, 0, 1);
    epilogue = {activation, 0.2, view(std::as_const(add))};
    mean.assign(static_cast<std::size_t>(shape[1]), scale);
    var.assign(static_cast<std::size_t>(shape[1]), 4 * scale * scale);
    BatchNormCall call(x, gamma, beta, epilogue);
    y = call.forward();
    auto back = call.backward(dy);
    dx = back.dx;
    dadd = back.dadd;
    dgamma = back.dgamma;
    dbeta = back.dbeta;
    y_infer = call.poisoned();
    forward_infer(call.in_view(), call.affine(), call.eps, mean, var, epilogue, view(y_infer),
                  &call.state, call.workspace);
    dx_infer = call.backward(dy, false).dx;
  }
};

/// Small and large enough for several slabs, blocks and groups, with and without odd ends; values
/// in float's range and at its end, where channels are computed in double.
class Memory : public ::testing::TestWithParam<std::tuple<DType, Layout, Activation>> {
 protected:
  void TearDown() override {
    set_max_threads(threads_);
    force_isa("");
  }
  void for_each_problem(const std::function<void(const Plain&)>& check) {
    const auto [dtype, layout, activation] = GetParam();
    for (const std::string& isa : available_isas()) {
      if (dtype == DType::f64 && isa != "reference") continue;
      force_isa(isa);
      const bool best = isa == available_isas().front();
      for (const int threads : best ? std::vector{3, 1} : std::vector{1}) {
        set_max_threads(threads);
        for (const Shape& shape : {Shape{3, 5, 7}, Shape{5, 67, 9}, Shape{2, 1, 2500}}) {
          for (const double scale : {1.0, 1e33}) {
            if (scale != 1 && threads != 1) continue;
            SCOPED_TRACE(
                fmt::format("{} {} scale {} {} threads", isa, shape.str(), scale, threads));
            check(Plain(shape, dtype, layout, activation, scale));
          }
        }
      }
    }
  }

 private:
  int threads_ = max_threads();
};

INSTANTIATE_TEST_SUITE_P(Kinds, Memory,
                         ::testing::Combine(::testing::Values(DType::f32, DType::f64),
                                            ::testing::Values(Layout::channels_first,
                                                              Layout::channels_last),
                                            ::testing::Values(Activation::none, Activation::relu,
                                                              Activation::leaky_relu)));

TEST_P(Memory, YMayBeXOrTheAddedTensor) {
  for_each_problem([](const Plain& plain) {
    for (const bool into_x : {true, false}) {
      const auto run = [&](const std::function<void(BatchNormCall&, const ChannelView&)>& f) {
        BatchNormCall call(plain.x.clone(), plain.gamma, plain.beta, plain.epilogue);
        Tensor add = plain.add.clone();
        call.epilogue.add = view(std::as_const(add));
        Tensor& out = into_x ? call.x : add;
        f(call, view(out));
        EXPECT_TRUE(same_bits(into_x ? add : call.x, into_x ? plain.add : plain.x));
        return out;
      };
      EXPECT_TRUE(same_bits(plain.y, run([](BatchNormCall& call, const ChannelView& y) {
                              forward_train(call.in_view(), call.affine(), call.eps, nullptr,
                                            call.epilogue, y, call.state, call.workspace);
                            })));
      EXPECT_TRUE(same_bits(plain.y_infer, run([&](BatchNormCall& call, const ChannelView& y) {
                              forward_infer(call.in_view(), call.affine(), call.eps, plain.mean,
                                            plain.var, call.epilogue, y, &call.state,
                                            call.workspace);
                            })));
      EXPECT_TRUE(same_bits(plain.y, run([](BatchNormCall& call, const ChannelView& y) {
                              const auto c = static_cast<std::size_t>(call.x.dim(1));
                              std::vector<double> count(c), mean(c), m2(c);
                              collect(call.in_view(), {count, mean, m2}, call.workspace);
                              finalize({count, mean, m2}, call.eps, call.state);
                              normalize(call.in_view(), call.state, call.affine(), call.epilogue, y,
                                        call.workspace);
                            })));
    }
  });
}

TEST_P(Memory, DxMayBeXOrDyAndDaddMayBeDy) {
  for_each_problem([](const Plain& plain) {
    struct Aliases {
      bool dx_is_x, dadd_is_dy;
    };
    for (const auto& [dx_is_x, dadd_is_dy] :
         {Aliases{true, false}, Aliases{true, true}, Aliases{false, false}}) {
      for (const bool train : {true, false}) {
        BatchNormCall call(plain.x.clone(), plain.gamma, plain.beta, plain.epilogue);
        if (train) {
          call.forward();
        } else {
          Tensor y = call.poisoned();
          forward_infer(call.in_view(), call.affine(), call.eps, plain.mean, plain.var,
                        call.epilogue, view(y), &call.state, call.workspace);
        }
        Tensor dy = plain.dy.clone();
        Tensor& dx = dx_is_x ? call.x : dy;
        Tensor dadd = dadd_is_dy ? dy : call.poisoned();
        Tensor dgamma = Tensor::zeros({call.x.dim(1)}, call.x.dtype());
        Tensor dbeta = Tensor::zeros({call.x.dim(1)}, call.x.dtype());
        (train ? backward_train : backward_infer)(
            call.in_view(), view(std::as_const(dy)), call.affine(), call.state, call.epilogue,
            view(dx), VectorView(dgamma), VectorView(dbeta), view(dadd), call.workspace);
        EXPECT_TRUE(same_bits(dx, train ? plain.dx : plain.dx_infer));
        if (!train) continue;
        EXPECT_TRUE(same_bits(dadd, plain.dadd));
        EXPECT_TRUE(same_bits(dgamma, plain.dgamma));
        EXPECT_TRUE(same_bits(dbeta, plain.dbeta));
      }
    }
  });
}

/// A tensor's values beside a forbidden page.
template <class T>
Pages pages_of(const Tensor& tensor) {
  return Pages(tensor.span<T>());
}

template <class T>
void check_beside_forbidden_pages(const Plain& plain) {
  const auto d = channel_dims(plain.x.shape(), "test");
  const auto c = static_cast<std::size_t>(d.c);
  const auto view_at = [&](Pages& pages) {
    return ChannelView{pages.data(), plain.x.dtype(), plain.x.layout(), d.n, d.c, d.s};
  };
  const Tensor poison = Tensor::full(plain.x.shape(), NAN, plain.x.dtype(), plain.x.layout());
  Pages x = pages_of<T>(plain.x), dy = pages_of<T>(plain.dy), add = pages_of<T>(plain.add);
  Pages y = pages_of<T>(poison), dx = pages_of<T>(poison), dadd = pages_of<T>(poison);
  Pages gamma = pages_of<float>(plain.gamma), beta = pages_of<float>(plain.beta);
  Pages mean{std::span<const double>(plain.mean)}, var{std::span<const double>(plain.var)};
  Pages dgamma{std::span<const T>(std::vector<T>(c, 0))};
  Pages dbeta{std::span<const T>(std::vector<T>(c, 0))};
  for (Pages* input : {&x, &dy, &add, &gamma, &beta, &mean, &var}) input->protect();
  const ConstChannelView in = view_at(x);
  const Epilogue epilogue{plain.epilogue.activation, plain.epilogue.slope, view_at(add)};
  const Affine affine{ConstVectorView(std::span<const float>(gamma.as<float>())),
                      ConstVectorView(std::span<const float>(beta.as<float>()))};
  Pages workspace{std::span<const std::byte>(std::vector<std::byte>(workspace_size(in)))};
  Pages memory{std::span<const std::byte>(std::vector<std::byte>(state_size(in, epilogue)))};
  BatchNormState state = bind_state(memory.as<std::byte>(), in, epilogue);

  forward_train(in, affine, 1e-5, nullptr, epilogue, view_at(y), state, workspace.as<std::byte>());
  EXPECT_TRUE(y.same_as(plain.y.raw()));
  memory.protect();
  backward_train(in, view_at(dy), affine, state, epilogue, view_at(dx), VectorView(dgamma.as<T>()),
                 VectorView(dbeta.as<T>()), view_at(dadd), workspace.as<std::byte>());
  EXPECT_TRUE(dx.same_as(plain.dx.raw()));
  EXPECT_TRUE(dadd.same_as(plain.dadd.raw()));
  EXPECT_TRUE(dgamma.same_as(plain.dgamma.raw()));
  EXPECT_TRUE(dbeta.same_as(plain.dbeta.raw()));

  const std::size_t vector = 8 * c;
  Pages moments{std::span<const double>(std::vector<double>(3 * c))};
  const auto of = [&](std::size_t i) { return moments.as<double>().subspan(i * c, c); };
  collect(in, {of(0), of(1), of(2)}, workspace.as<std::byte>());
  EXPECT_EQ(std::memcmp(of(1).data(), state.mean.data(), vector), 0);
  reduce_gradients(in, view_at(dy), state, epilogue, {of(0), of(1)}, workspace.as<std::byte>());
  moments.protect();
  propagate(in, view_at(dy), state, affine, epilogue, {of(0), of(1)},
            static_cast<double>(d.n * d.s), view_at(dx), view_at(dadd), workspace.as<std::byte>());
  EXPECT_TRUE(dx.same_as(plain.dx.raw()));

  Pages other{std::span<const std::byte>(std::vector<std::byte>(state_size(in, epilogue)))};
  BatchNormState constants = bind_state(other.as<std::byte>(), in, epilogue);
  forward_infer(in, affine, 1e-5, mean.as<double>(), var.as<double>(), epilogue, view_at(y),
                &constants, workspace.as<std::byte>());
  EXPECT_TRUE(y.same_as(plain.y_infer.raw()));
  other.protect();
  backward_infer(in, view_at(dy), affine, constants, epilogue, view_at(dx), {}, {}, std::nullopt,
                 workspace.as<std::byte>());
  EXPECT_TRUE(dx.same_as(plain.dx_infer.raw()));
}

TEST_P(Memory, BesideForbiddenPagesAtOddAddressesAndReadOnly) {
  for_each_problem([](const Plain& plain) {
    if (plain.x.dtype() == DType::f32) {
      check_beside_forbidden_pages<float>(plain);
    } else {
      check_beside_forbidden_pages<double>(plain);
    }
  });
}

}  // namespace
}  // namespace evenkeel::norm::testing
