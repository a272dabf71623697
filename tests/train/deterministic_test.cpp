// Whole networks in deterministic mode: the same weights for any number of threads.
#include <chrono>
#include <iostream>
#include <limits>

#include <gtest/gtest.h>

#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::train {
namespace {

struct Task {
  std::string net;
  Shape input;
  std::int64_t batch;
  Layout layout = Layout::channels_first;
  std::string norm = "batch";

  std::string name() const {
    return fmt::format("{} {} batch {} {}", net, input.str(), batch, evenkeel::name_of(layout));
  }
};

/// A network in training, with batches made of noise.
class Training {
 public:
  explicit Training(const Task& task)
      : task_(task),
        network_(model::build_network(options_of(task), 3)),
        sgd_(optim::make_groups(*network_, {.weight_decay = 5e-4}), {.momentum = 0.9}) {
    network_->set_needs_input_gradient(false);
    nn::fuse(*network_);
  }

  void step() {
    Shape shape{task_.batch, task_.input[0], task_.input[1], task_.input[2]};
    Tensor x = Tensor::empty(shape, DType::f32, task_.layout);
    random_.fill_normal(x.span<float>(), 0, 1);
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < task_.batch; ++i) {
      labels.push_back(static_cast<std::int32_t>(random_.below(10)));
    }
    network_->zero_grad();
    const nn::LossResult loss = nn::CrossEntropy()(network_->forward(x), labels);
    network_->backward(loss.gradient);
    sgd_.step(0.01);
  }

  /// Weights, running statistics and momenta.
  std::vector<Tensor> state() const {
    std::vector<Tensor> tensors;
    for (const auto& [name, tensor] : network_->state_dict()) tensors.push_back(tensor.clone());
    for (const auto& [name, tensor] : sgd_.state_dict()) tensors.push_back(tensor.clone());
    return tensors;
  }

 private:
  static model::NetworkOptions options_of(const Task& task) {
    model::NetworkOptions options;
    options.net = task.net;
    options.norm = task.norm;
    options.input = task.input;
    if (task.net == "mlp") options.dropout = 0.1;
    return options;
  }

  Task task_;
  std::unique_ptr<nn::Module> network_;
  optim::Sgd sgd_;
  Random random_{17};
};

bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) {
    return x.shape() == y.shape() && x.dtype() == y.dtype() &&
           (x.bytes() == 0 || std::memcmp(x.raw(), y.raw(), x.bytes()) == 0);
  });
}

class Deterministic : public ::testing::Test {
 protected:
  ~Deterministic() override {
    set_max_threads(threads_);
    set_deterministic(false);
  }

  static std::vector<Tensor> train(const Task& task, int steps, int threads, bool on = true) {
    set_deterministic(on);
    set_max_threads(threads);
    Training training(task);
    for (int i = 0; i < steps; ++i) training.step();
    return training.state();
  }

  static void expect_same_weights(const Task& task, int steps) {
    const std::vector<Tensor> one = train(task, steps, 1);
    for (const int threads : {2, 3, 8}) {
      EXPECT_TRUE(same_bits(train(task, steps, threads), one))
          << task.name() << ", " << threads << " threads, " << steps << " steps";
    }
  }

 private:
  int threads_ = max_threads();
};

TEST_F(Deterministic, MlpHasTheSameWeightsForAnyNumberOfThreads) {
  for (const std::int64_t batch : {64, 37}) expect_same_weights({"mlp", {1, 28, 28}, batch}, 3);
  // One sample has no statistics.
  expect_same_weights({"mlp", {1, 28, 28}, 1, Layout::channels_first, "none"}, 3);
}

TEST_F(Deterministic, MlpWithLongInnerDimensionsHasTheSameWeights) {
  expect_same_weights({"mlp", {3, 96, 96}, 5}, 2);   // 27648 inputs
  expect_same_weights({"mlp", {1, 8, 8}, 3001}, 2);  // a batch that is the inner dimension of dW
}

TEST_F(Deterministic, Resnet20HasTheSameWeightsForAnyNumberOfThreads) {
  // Fewer samples than threads: oneDNN left alone cuts a sample's sums between its threads, and
  // gives other weights on these.
  expect_same_weights({"resnet20", {3, 32, 32}, 1, Layout::channels_first}, 2);
  expect_same_weights({"resnet20", {3, 32, 32}, 5, Layout::channels_last}, 2);
}

TEST_F(Deterministic, TheDefaultModeHasTheSameWeightsFromRunToRun) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Task task{"resnet20", {3, 32, 32}, 2, layout};
    EXPECT_TRUE(same_bits(train(task, 1, 3, false), train(task, 1, 3, false))) << task.name();
  }
}

using DeterministicLong = Deterministic;

TEST_F(DeterministicLong, MlpAfter200Steps) {
  for (const std::int64_t batch : {64, 37}) expect_same_weights({"mlp", {1, 28, 28}, batch}, 200);
}

TEST_F(DeterministicLong, Resnet20After200Steps) {
  for (const Layout layout : {Layout::channels_last, Layout::channels_first}) {
    expect_same_weights({"resnet20", {3, 32, 32}, 16, layout}, 200);
  }
  expect_same_weights({"resnet20", {3, 32, 32}, 1, Layout::channels_last}, 200);
}

/// A training in one mode and the least time of its steps.
struct Timed {
  Training training;
  double least = std::numeric_limits<double>::infinity();

  void step(bool on, bool warm) {
    set_deterministic(on);
    const auto begin = std::chrono::steady_clock::now();
    training.step();
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
    if (warm) least = std::min(least, time.count());
  }
};

TEST_F(DeterministicLong, StepTimesBesideTheDefaultMode) {
  const int threads = max_threads();
  std::cout << fmt::format("{} threads, least times\n{:<44}{:>16}{:>12}{:>8}\n", threads, "step",
                           "deterministic", "default", "ratio");
  for (const Task& task :
       {Task{"mlp", {1, 28, 28}, 1, Layout::channels_first, "none"}, Task{"mlp", {1, 28, 28}, 64},
        Task{"mlp", {1, 28, 28}, 512}, Task{"resnet20", {3, 32, 32}, 1, Layout::channels_last},
        Task{"resnet20", {3, 32, 32}, 3, Layout::channels_last},
        Task{"resnet20", {3, 32, 32}, 16, Layout::channels_last},
        Task{"resnet20", {3, 32, 32}, 64, Layout::channels_last},
        Task{"resnet20", {3, 32, 32}, 64, Layout::channels_first}}) {
    const int rounds = task.net == "mlp" ? 100 : task.batch < 16 ? 40 : 15;
    // In turn, so that other work on the machine meets both.
    Timed with{Training(task)}, without{Training(task)};
    for (int round = 0; round < rounds; ++round) {
      with.step(true, round > 1);
      without.step(false, round > 1);
    }
    std::cout << fmt::format("{:<44}{:>13.2f} ms{:>9.2f} ms{:>8.2f}\n", task.name(), with.least,
                             without.least, with.least / without.least);
    EXPECT_TRUE(same_bits(with.training.state(), train(task, rounds, 1))) << task.name();
    set_max_threads(threads);
  }
}

}  // namespace
}  // namespace evenkeel::train
