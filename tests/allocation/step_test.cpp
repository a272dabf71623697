// A training step in which memory runs out: all or nothing, and nothing leaks.
#include <ostream>

#include <gtest/gtest.h>

#include "allocation/failing_new.h"
#include "train/stepper.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/error.h>
#include <evenkeel/core/memory.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/memory.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::train {
namespace {

using testing::FailingAllocation;
using testing::live_blocks;

constexpr std::int64_t kFailures = 500;
constexpr double kRate = 0.05;
constexpr int kThreads = 2;
constexpr std::int64_t kBatch = 32;

struct Case {
  std::string net;
  std::string optimizer;
  Shape sample;
  nn::Memory memory = nn::Memory::normal;
  std::string activation = "auto";
};

void PrintTo(const Case& what, std::ostream* out) { *out << what.net << " " << what.optimizer; }

/// A network with its optimizer, and one batch for it.
struct Training {
  std::unique_ptr<nn::Module> network;
  std::unique_ptr<optim::Optimizer> optimizer;
  std::unique_ptr<Stepper> stepper;
  data::Batch batch;

  explicit Training(const Case& what) {
    model::NetworkOptions options;
    options.net = what.net;
    options.input = what.sample;
    options.activation = what.activation;
    options.classes = 4;
    options.dropout = what.net == "mlp" ? 0.1 : 0.0;
    network = model::build_network(options, 3);
    network->set_needs_input_gradient(false);
    nn::fuse(*network);
    nn::set_memory(*network, what.memory);
    optimizer = optim::make_optimizer(what.optimizer, optim::make_groups(*network, {}), {});
    stepper = std::make_unique<Stepper>(*network, *optimizer, 0.1, 1.0);
    std::vector<std::int64_t> sizes{kBatch};
    for (int d = 0; d < what.sample.rank(); ++d) sizes.push_back(what.sample[d]);
    batch.x = Tensor::empty(Shape(sizes));
    Random random(7);
    for (float& value : batch.x.span<float>()) value = static_cast<float>(random.normal());
    for (std::int64_t i = 0; i < kBatch; ++i) batch.labels.push_back(static_cast<int>(i % 4));
    network->train();
  }

  StepOutcome step() { return stepper->step(batch, kRate); }

  /// The bits of parameters, statistics and optimizer.
  std::vector<std::byte> bits() {
    std::vector<std::byte> result;
    for (const nn::StateDict& state : {network->state_dict(), optimizer->state_dict()}) {
      for (const auto& [name, tensor] : state) {
        const auto* const from = static_cast<const std::byte*>(tensor.raw());
        result.insert(result.end(), from, from + tensor.bytes());
      }
    }
    return result;
  }
};

class StepWithoutMemory : public ::testing::TestWithParam<Case> {};

/// Takes a step in which the nth request for memory fails. False where there are fewer requests.
bool refuse_step(Training& training, std::int64_t nth) {
  bool threw = false;
  const FailingAllocation failing(nth);
  try {
    training.step();
  } catch (const std::bad_alloc&) {
    threw = true;
  } catch (const Error&) {
    threw = true;
  }
  EXPECT_EQ(threw, failing.failed()) << "request " << nth;
  return failing.failed();
}

/// Whether a refused step leaves as many blocks as it found. A thread that takes part for the first
/// time makes what it keeps for good: what leaks, leaks at every attempt.
bool leaks_nothing(Training& training, std::int64_t nth) {
  for (int attempt = 0; attempt < 4; ++attempt) {
    const std::int64_t blocks = live_blocks();
    refuse_step(training, nth);
    if (live_blocks() == blocks) return true;
  }
  return false;
}

/// As often as the optimizer of `other` has stepped.
void catch_up(Training& training, const Training& other) {
  while (training.optimizer->steps() < other.optimizer->steps()) training.step();
}

TEST_P(StepWithoutMemory, ChangesNothingAndLeaksNothing) {
  set_max_threads(kThreads);
  // Otherwise oneDNN may spread a convolution of few samples over OpenMP threads of its own, from
  // which no exception comes back (docs/reliability.md).
  set_deterministic(true);
  Training training(GetParam());
  Training reference(GetParam());
  for (const bool warm : {false, true}) {
    const std::vector<std::byte> before = training.bits();
    std::int64_t nth = 1;
    for (; nth <= kFailures; ++nth) {
      if (!warm) release_cached_memory();
      const std::size_t bytes = memory_stats().current;
      if (!refuse_step(training, nth)) break;
      ASSERT_EQ(training.bits(), before) << "request " << nth;
      ASSERT_EQ(memory_stats().current, bytes) << "request " << nth;
      if (warm) {
        ASSERT_TRUE(leaks_nothing(training, nth)) << "request " << nth;
      }
    }
    EXPECT_GT(nth, 20);
    RecordProperty(warm ? "refused_warm" : "refused_cold", static_cast<int>(nth - 1));
    // Whether or not a step went through in the end, the next ones are as if none had failed.
    training.step();
    catch_up(reference, training);
    EXPECT_EQ(training.bits(), reference.bits());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Networks, StepWithoutMemory,
    ::testing::Values(Case{"mlp", "sgd", {1, 6, 6}}, Case{"mlp", "adamw", {1, 6, 6}},
                      Case{"convnet", "sgd", {3, 8, 8}}, Case{"resnet20", "sgd", {3, 16, 16}},
                      Case{"convnet", "sgd", {3, 8, 8}, nn::Memory::save, "leaky_relu"}),
    [](const auto& row) {
      return row.param.net + "_" + row.param.optimizer +
             (row.param.activation == "auto" ? "" : "_leaky_relu_save");
    });

}  // namespace
}  // namespace evenkeel::train
