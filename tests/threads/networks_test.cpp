// Networks with any number of threads, and several trained at the same time.
#include <thread>

#include <gtest/gtest.h>

#include "nn/tensors.h"
#include "threads/setting.h"
#include <evenkeel/nn/nn.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel {
namespace {

using testing::identical;
using testing::random_tensor;
using testing::ThreadSetting;

constexpr int kSteps = 4;

std::unique_ptr<nn::Module> make_network(std::uint64_t seed) {
  using namespace nn;
  auto net = std::make_unique<Sequential>();
  net->add(Conv2d(3, 8, 3, {.padding = 1})).add(BatchNorm2d(8)).add(ReLU());
  net->add(Residual(Sequential{Conv2d(8, 8, 3, {.padding = 1}), BatchNorm2d(8), ReLU(),
                               Dropout(0.2), Conv2d(8, 8, 3, {.padding = 1}), BatchNorm2d(8)},
                    ops::ActivationKind::relu));
  net->add(MaxPool2d(2)).add(Flatten()).add(Linear(8 * 6 * 6, 40)).add(BatchNorm1d(40));
  net->add(Tanh()).add(Linear(40, 5));
  net->initialize(seed);
  fuse(*net);
  return net;
}

/// Parameters and buffers after some steps on data of its own.
std::vector<Tensor> train(std::uint64_t seed, Layout layout, std::int64_t batch) {
  const auto net = make_network(seed);
  optim::Sgd sgd(optim::make_groups(*net), {.momentum = 0.9});
  const nn::CrossEntropy loss;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < batch; ++i) labels.push_back(static_cast<std::int32_t>(i % 5));
  for (int step = 0; step < kSteps; ++step) {
    const Tensor x = random_tensor({batch, 3, 12, 12}, seed + static_cast<std::uint64_t>(step),
                                   DType::f32, layout);
    net->zero_grad();
    net->backward(loss(net->forward(x), labels).gradient);
    sgd.step(0.05);
  }
  std::vector<Tensor> state;
  for (const auto& [name, tensor] : net->state_dict()) state.push_back(tensor.clone());
  return state;
}

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::ranges::equal(a, b, identical);
}

TEST(ManyThreads, TrainANetworkToTheSameBits) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (const std::int64_t batch : {2, 9}) {
      const auto run = [&](int threads) {
        const ThreadSetting setting(threads, /*deterministic_mode=*/true);
        return train(1, layout, batch);
      };
      const std::vector<Tensor> expected = run(1);
      for (const int threads : {2, 3, 8, 64}) {
        EXPECT_TRUE(same(run(threads), expected)) << threads << " threads, batch " << batch;
      }
    }
  }
}

TEST(NetworksAtOnce, TrainAsEachAlone) {
  for (const bool deterministic_mode : {true, false}) {
    const ThreadSetting setting(3, deterministic_mode);
    constexpr std::size_t kNetworks = 3;
    std::vector<std::vector<Tensor>> alone, together(kNetworks);
    for (std::size_t i = 0; i < kNetworks; ++i) {
      alone.push_back(train(i, Layout::channels_last, 7));
    }
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kNetworks; ++i) {
      threads.emplace_back([&, i] { together[i] = train(i, Layout::channels_last, 7); });
    }
    for (std::thread& thread : threads) thread.join();
    for (std::size_t i = 0; i < kNetworks; ++i) {
      EXPECT_TRUE(same(together[i], alone[i])) << "network " << i;
    }
  }
}

}  // namespace
}  // namespace evenkeel
