// A warm training step finds all of its memory where the step before left it.
#include <algorithm>

#include <gtest/gtest.h>
#include <malloc.h>

#include "allocation/failing_new.h"
#include "train/stepper.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/memory.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::train {
namespace {

using testing::live_blocks;

constexpr int kWarmSteps = 4;
constexpr int kWindows = 30;
constexpr int kWindowSteps = 10;

struct Case {
  std::string net;
  Shape sample;
  nn::Memory memory;
  std::string activation = "auto";
};

/// Bytes that the C library holds from the system.
std::size_t held_by_malloc() {
  const auto info = mallinfo2();
  return info.arena + info.hblkhd;
}

class WarmStep : public ::testing::TestWithParam<Case> {};

TEST_P(WarmStep, AsksTheSystemForNothing) {
  set_max_threads(2);
  const Case& what = GetParam();
  model::NetworkOptions options;
  options.net = what.net;
  options.input = what.sample;
  options.activation = what.activation;
  const auto network = model::build_network(options, 3);
  network->set_needs_input_gradient(false);
  nn::fuse(*network);
  nn::set_memory(*network, what.memory);
  const auto optimizer = optim::make_optimizer("sgd", optim::make_groups(*network, {}), {});
  Stepper stepper(*network, *optimizer, 0, 0);
  network->train();
  data::Batch batch;
  std::vector<std::int64_t> sizes{32};
  for (const std::int64_t extent : what.sample.dims()) sizes.push_back(extent);
  batch.x = Tensor::empty(Shape(sizes));
  Random random(7);
  random.fill_normal(batch.x.span<float>(), 0, 1);
  for (int i = 0; i < 32; ++i) batch.labels.push_back(i % 10);

  for (int i = 0; i < kWarmSteps; ++i) stepper.step(batch, 0.01);
  const MemoryStats before = memory_stats();
  // Which thread frees what another one took is chance, and the C library needs a while to have
  // room for every course of things.
  std::size_t growth = 1;
  std::int64_t blocks = 1;
  for (int window = 0; window < kWindows && (growth > 0 || blocks > 0); ++window) {
    const std::size_t held = held_by_malloc();
    const std::int64_t live = live_blocks();
    for (int i = 0; i < kWindowSteps; ++i) stepper.step(batch, 0.01);
    growth = std::max(held_by_malloc(), held) - held;
    blocks = live_blocks() - live;
  }
  const MemoryStats after = memory_stats();
  EXPECT_EQ(after.system_requests, before.system_requests);
  EXPECT_EQ(after.reserved, before.reserved);
  EXPECT_EQ(after.current, before.current);
  EXPECT_EQ(growth, 0U);
  EXPECT_LE(blocks, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Networks, WarmStep,
    ::testing::Values(Case{"mlp", {1, 28, 28}, nn::Memory::normal},
                      Case{"convnet", {1, 16, 16}, nn::Memory::normal},
                      Case{"convnet", {1, 16, 16}, nn::Memory::save},
                      Case{"resnet20", {3, 16, 16}, nn::Memory::normal},
                      Case{"resnet20", {3, 16, 16}, nn::Memory::save},
                      Case{"resnet20", {3, 16, 16}, nn::Memory::save, "leaky_relu"}),
    [](const auto& row) {
      return row.param.net + "_" + std::string(nn::name_of(row.param.memory)) +
             (row.param.activation == "auto" ? "" : "_leaky_relu");
    });

}  // namespace
}  // namespace evenkeel::train
