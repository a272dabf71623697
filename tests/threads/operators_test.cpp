// Operators from one thread to many more than there are processors: the same bits.
#include "ops/operators.h"

#include <thread>

#include <gtest/gtest.h>

#include "norm/support.h"
#include "threads/setting.h"
#include <evenkeel/norm/isa.h>

namespace evenkeel {
namespace {

using norm::testing::BatchNormCall;
using norm::testing::random_normal;
using norm::testing::same_bits;
using testing::ThreadSetting;

const std::vector<int> kThreads{2, 3, 7, 16, 64};

struct NormResult {
  Tensor y, dx, dgamma, dbeta, dadd;

  bool operator==(const NormResult& other) const {
    return same_bits(y, other.y) && same_bits(dx, other.dx) && same_bits(dgamma, other.dgamma) &&
           same_bits(dbeta, other.dbeta) && same_bits(dadd, other.dadd);
  }
};

NormResult run_batch_norm(const Shape& shape, DType dtype, Layout layout) {
  const Tensor x = random_normal(shape, 1, 3, 2, dtype, layout);
  const Tensor dy = random_normal(shape, 2, 0, 1, dtype, layout);
  const Tensor add = random_normal(shape, 3, 0, 1, dtype, layout);
  BatchNormCall call(x, random_normal({shape[1]}, 4, 1, 0.5), random_normal({shape[1]}, 5, 0, 1),
                     {norm::Activation::relu, 0, norm::view(add)});
  NormResult result;
  result.y = call.forward();
  auto g = call.backward(dy);
  result.dx = g.dx;
  result.dgamma = g.dgamma;
  result.dbeta = g.dbeta;
  result.dadd = g.dadd;
  return result;
}

TEST(ManyThreads, GiveBatchNormTheSameBits) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      // More slabs than threads, fewer, and one.
      for (const Shape& shape :
           {Shape{3, 70, 9, 11}, Shape{6, 5, 37, 41}, Shape{2000, 67}, Shape{4, 1, 30001}}) {
        const auto run = [&](int threads) {
          const ThreadSetting setting(threads);
          return run_batch_norm(shape, dtype, layout);
        };
        const NormResult expected = run(1);
        for (const int threads : kThreads) {
          EXPECT_TRUE(run(threads) == expected)
              << shape.str() << " " << name_of(dtype) << " " << name_of(layout) << " " << threads;
        }
      }
    }
  }
}

/// Larger than the tests of single operators need, so that there is something to share.
std::vector<ops::testing::Operator> large_operators(Layout layout) {
  using ops::testing::random_tensor;
  std::vector<ops::testing::Operator> list;
  const auto maps = [&](const Shape& shape, std::uint64_t seed) {
    return random_tensor(shape, DType::f32, layout, seed);
  };
  const Shape whole{9, 16, 24, 24};
  for (ops::testing::Operator& op : ops::testing::operators(layout)) {
    const bool linear = op.name.find("linear") != std::string::npos;
    const bool conv = op.name.find("conv") != std::string::npos;
    if (!linear && !conv) list.push_back(std::move(op));
  }
  const ops::ConvOptions conv{{1, 1}, {1, 1}, {1, 1}, 1};
  for (const std::int64_t samples : {1, 2, 9}) {
    const Shape x = whole.with(0, samples);
    list.push_back({fmt::format("conv of {}", samples),
                    {ops::testing::in("x", maps(x, 1)),
                     ops::testing::in("weight", random_tensor({16, 16, 3, 3}, DType::f32)),
                     ops::testing::in("bias", random_tensor({16}, DType::f32)),
                     ops::testing::out("y", maps(x, 2)), ops::testing::out("dx", maps(x, 3)),
                     ops::testing::out("dweight", Tensor::zeros({16, 16, 3, 3})),
                     ops::testing::out("dbias", Tensor::zeros({16}))},
                    [conv](auto& t) {
                      ops::conv_forward(t[0], t[1], t[2], conv, t[3]);
                      ops::conv_backward_data(t[3], t[1], conv, t[4]);
                      ops::conv_backward_weight(t[0], t[3], conv, t[5], t[6]);
                    }});
  }
  // Long inner dimensions: of the weight gradient, of the forward pass, of dx.
  for (const auto& [n, k, m] :
       {std::array<std::int64_t, 3>{5000, 33, 17}, std::array<std::int64_t, 3>{3, 5000, 11},
        std::array<std::int64_t, 3>{5, 30, 5000}}) {
    const auto plain = [](const Shape& shape, std::uint64_t seed) {
      return random_tensor(shape, DType::f32, Layout::channels_first, seed);
    };
    list.push_back(
        {fmt::format("linear {} {} {}", n, k, m),
         {ops::testing::in("x", plain({n, k}, 1)), ops::testing::in("weight", plain({m, k}, 2)),
          ops::testing::in("bias", plain({m}, 3)), ops::testing::out("y", plain({n, m}, 4)),
          ops::testing::out("dx", plain({n, k}, 5)),
          ops::testing::out("dweight", Tensor::zeros({m, k})),
          ops::testing::out("dbias", Tensor::zeros({m}))},
         [](auto& t) {
           ops::linear_forward(t[0], t[1], t[2], t[3]);
           ops::linear_backward_data(t[3], t[1], t[4]);
           ops::linear_backward_weight(t[0], t[3], t[5], t[6]);
         }});
  }
  return list;
}

TEST(ManyThreads, GiveEveryOperatorTheSameBits) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (const ops::testing::Operator& op : large_operators(layout)) {
      const auto run = [&](int threads) {
        const ThreadSetting setting(threads, /*deterministic_mode=*/true);
        std::vector<Tensor> tensors = op.tensors();
        op.run(tensors);
        return tensors;
      };
      const std::vector<Tensor> expected = run(1);
      for (const int threads : kThreads) {
        const std::vector<Tensor> results = run(threads);
        for (std::size_t i = 0; i < results.size(); ++i) {
          EXPECT_TRUE(same_bits(expected[i], results[i]))
              << op.name << " " << op.slots[i].name << " " << threads << " threads";
        }
      }
    }
  }
}

TEST(ManyThreads, CallingAtOnceGetTheSameBits) {
  const ThreadSetting setting(3);
  const Shape shape{6, 70, 19, 11};
  const NormResult expected = run_batch_norm(shape, DType::f32, Layout::channels_last);
  std::vector<ops::testing::Operator> list = large_operators(Layout::channels_last);
  std::vector<std::vector<Tensor>> wanted;
  for (const auto& op : list) {
    wanted.push_back(op.tensors());
    op.run(wanted.back());
  }
  std::atomic<int> differences{0};
  const auto work = [&] {
    for (int round = 0; round < 3; ++round) {
      if (!(run_batch_norm(shape, DType::f32, Layout::channels_last) == expected)) ++differences;
      for (std::size_t k = 0; k < list.size(); ++k) {
        std::vector<Tensor> tensors = list[k].tensors();
        list[k].run(tensors);
        for (std::size_t i = 0; i < tensors.size(); ++i) {
          if (!same_bits(wanted[k][i], tensors[i])) ++differences;
        }
      }
    }
  };
  std::vector<std::thread> others;
  for (int i = 0; i < 3; ++i) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  EXPECT_EQ(differences, 0);
}

}  // namespace
}  // namespace evenkeel
