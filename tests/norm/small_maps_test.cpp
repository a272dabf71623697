// Small maps, channels first, whose channels share vectors and lines: each has the bits that it has
// alone, whatever stands beside it.
#include <gtest/gtest.h>

#include "support.h"
#include <evenkeel/norm/isa.h>

namespace evenkeel::norm::testing {
namespace {

struct Small {
  std::int64_t n, c, s;
  DType dtype = DType::f32;
};

/// Channel c of a tensor, or all of a vector's values of it.
Tensor channel(const Tensor& t, std::int64_t c) {
  const auto d = channel_dims(t.shape(), "test");
  Tensor one = Tensor::empty({d.n, 1, d.s}, t.dtype());
  const std::size_t row = static_cast<std::size_t>(d.s) * size_of(t.dtype());
  for (std::int64_t n = 0; n < d.n; ++n) {
    std::memcpy(static_cast<std::byte*>(one.raw()) + static_cast<std::size_t>(n) * row,
                static_cast<const std::byte*>(t.raw()) +
                    static_cast<std::size_t>(offset(t, n, c, 0)) * size_of(t.dtype()),
                row);
  }
  return one;
}

/// Every third channel leaves the range in which f32 does, and is computed in double.
Tensor input(const Small& shape, bool wide) {
  Tensor x = random_normal({shape.n, shape.c, shape.s}, 1, 3, 2);
  for (std::int64_t n = 0; wide && n < shape.n; ++n) {
    for (std::int64_t c = 1; c < shape.c; c += 3) {
      for (std::int64_t s = 0; s < shape.s; ++s) x.data<float>()[offset(x, n, c, s)] *= 1e31F;
    }
  }
  return x.to(shape.dtype);
}

void expect_as_alone(const Small& shape, bool wide, Activation activation, bool with_add) {
  const Tensor x = input(shape, wide);
  const Shape all{shape.n, shape.c, shape.s};
  const Tensor dy = random_normal(all, 2, 0, 1).to(shape.dtype);
  const Tensor add = random_normal(all, 3, 0, 1).to(shape.dtype);
  const Tensor gamma = random_normal({shape.c}, 4, 1, 0.5),
               beta = random_normal({shape.c}, 5, 0, 1);
  Epilogue epilogue{activation, 0.2F, std::nullopt};
  if (with_add) epilogue.add = view(add);
  BatchNormCall call(x, gamma, beta, epilogue);
  const Tensor y = call.forward();
  const auto back = call.backward(dy);
  for (std::int64_t c = 0; c < shape.c; ++c) {
    const auto value = [&](const Tensor& t) {
      return Tensor::full({1}, static_cast<double>(t.data<float>()[c]), DType::f32);
    };
    const Tensor own_add = channel(add, c);
    Epilogue alone = epilogue;
    if (with_add) alone.add = view(own_add);
    BatchNormCall one(channel(x, c), value(gamma), value(beta), alone);
    const Tensor own_y = one.forward();
    const auto own_back = one.backward(channel(dy, c));
    ASSERT_TRUE(same_bits(channel(y, c), own_y)) << "channel " << c;
    ASSERT_TRUE(same_bits(channel(back.dx, c), own_back.dx)) << "channel " << c;
    ASSERT_TRUE(same_bits(value(back.dgamma), own_back.dgamma)) << "channel " << c;
    ASSERT_TRUE(same_bits(value(back.dbeta), own_back.dbeta)) << "channel " << c;
    if (with_add) {
      ASSERT_TRUE(same_bits(channel(back.dadd, c), own_back.dadd)) << "channel " << c;
    }
  }
}

TEST(SmallMaps, EachChannelIsAsAlone) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const std::int64_t s :
         {2, 3, 4, 7, 9, 15, 16, 17, 33, 49, 63, 64, 65, 100, 196, 511, 512}) {
      for (const std::int64_t c : {1, 5, 16, 35}) {
        for (const DType dtype : {DType::f32, DType::bf16}) {
          for (const bool wide : {false, true}) {
            SCOPED_TRACE(isa + ", S " + std::to_string(s) + ", C " + std::to_string(c) +
                         (dtype == DType::bf16 ? ", bf16" : "") + (wide ? ", wide" : ""));
            const Small shape{6, c, s, dtype};
            expect_as_alone(shape, wide, Activation::relu, false);
            expect_as_alone(shape, wide, Activation::leaky_relu, true);
          }
        }
      }
    }
  }
  force_isa("");
}

TEST(SmallMaps, SoTheyAreWhereOutputsBypassTheCache) {
  for (const Small& shape : {Small{160, 128, 49}, Small{160, 112, 147}, Small{300, 130, 49},
                             Small{256, 256, 49, DType::bf16}}) {
    SCOPED_TRACE("S " + std::to_string(shape.s) + ", C " + std::to_string(shape.c));
    expect_as_alone(shape, false, Activation::relu, true);
    expect_as_alone(shape, true, Activation::none, false);
  }
}

}  // namespace
}  // namespace evenkeel::norm::testing
