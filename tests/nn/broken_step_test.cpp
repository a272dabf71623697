// A network whose forward or backward breaks off in the middle: the next step has the bits of one
// that nothing preceded.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/table_cases.h"
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/graph.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

using testing::fail_each_allocation;
using testing::identical;
using testing::message_of;
using testing::random_tensor;
using testing::Snapshot;

/// Hands everything through, until it is told to throw.
class Fuse : public Cloneable<Fuse> {
 public:
  std::string_view type() const override { return "Fuse"; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override {
    if (burn_forward) throw std::runtime_error("forward burnt");
    if (recording()) saved_.push(x.shape());
    return x;
  }
  Tensor backward(const Tensor& dy) override {
    (void)saved_.top(*this);
    if (burn_backward) throw std::runtime_error("backward burnt");
    saved_.pop();
    return dy;
  }

  static inline bool burn_forward = false;
  static inline bool burn_backward = false;

 private:
  SavedBase* own_saved() override { return &saved_; }
  SavedStack<Shape> saved_;
};

/// Everything with a state: running statistics, random positions, fused sums, branches.
std::unique_ptr<Module> make_network(bool fused, bool with_fuse = true) {
  const auto fuse_or_not = [&]() -> std::unique_ptr<Module> {
    if (with_fuse) return std::make_unique<Fuse>();
    return std::make_unique<Identity>();
  };
  const auto body = [&] {
    Sequential sequence{Conv2d(4, 4, 3, {.padding = 1}), BatchNorm2d(4), ReLU(), Dropout(0.3)};
    sequence.add(fuse_or_not());
    return std::move(sequence.add(Conv2d(4, 4, 3, {.padding = 1})).add(BatchNorm2d(4)));
  };
  Graph graph;
  graph.add("left", Sequential{Conv2d(4, 3, 1), BatchNorm2d(3)}, "input")
      .add("right", AvgPool2d(3, {.stride = 1, .padding = 1}), "input")
      .add("mid", fuse_or_not(), "left")
      .add_concat("both", {"mid", "right"});
  Concat concat{Sequential{Conv2d(7, 2, 1), Dropout(0.2)}, MaxPool2d(1)};
  concat.add(fuse_or_not());
  auto net = std::make_unique<Sequential>();
  net->add(Conv2d(3, 4, 3, {.padding = 1})).add(BatchNorm2d(4)).add(ReLU());
  net->add(Residual(body(), ops::ActivationKind::relu));
  net->add(Residual(body(), Sequential{Conv2d(4, 4, 1), BatchNorm2d(4)}));
  net->add(std::move(graph)).add(std::move(concat)).add(GlobalAvgPool());
  net->add(fuse_or_not()).add(Linear(16, 3));
  net->initialize(7);
  if (fused) {
    EXPECT_GE(fuse(*net), 5);
  }
  return net;
}

/// What a step leaves: output, dx, gradients and buffers.
std::vector<Tensor> step(Module& net, std::uint64_t seed) {
  net.zero_grad();
  const Tensor y = net.forward(random_tensor({4, 3, 6, 6}, seed));
  std::vector<Tensor> results{y, net.backward(random_tensor({4, 3}, seed + 100))};
  for (const auto& [name, parameter] : net.parameters()) results.push_back(parameter->grad.clone());
  for (const auto& [name, buffer] : net.buffers()) results.push_back(buffer->value.clone());
  return results;
}

void expect_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(identical(a[i], b[i])) << i;
}

void expect_nothing_saved(Module& net) {
  net.visit([](const std::string& path, Module& module) {
    const auto* const activation = dynamic_cast<const Activation*>(&module);
    if (module.child_count() != 0 || (activation != nullptr && activation->absorbed())) return;
    EXPECT_THROW(module.expect_forward(), StateError) << path;
  });
}

class BrokenStep : public ::testing::TestWithParam<bool> {
 protected:
  BrokenStep() : net_(make_network(GetParam())), twin_(net_->clone()) {}
  ~BrokenStep() override { Fuse::burn_forward = Fuse::burn_backward = false; }

  Tensor input(std::uint64_t seed) const { return random_tensor({4, 3, 6, 6}, seed); }

  std::unique_ptr<Module> net_, twin_;
};

INSTANTIATE_TEST_SUITE_P(Fusion, BrokenStep, ::testing::Bool(),
                         [](const auto& one) { return one.param ? "fused" : "plain"; });

TEST_P(BrokenStep, a_forward_that_throws_is_undone_in_every_layer) {
  const Snapshot before(*net_);
  Fuse::burn_forward = true;
  EXPECT_THROW(net_->forward(input(1)), std::runtime_error);
  Fuse::burn_forward = false;
  EXPECT_EQ(before.difference(), "");
  expect_nothing_saved(*net_);
  expect_same(step(*net_, 2), step(*twin_, 2));
}

TEST_P(BrokenStep, a_forward_that_throws_keeps_the_forward_before_it) {
  const Tensor y = net_->forward(input(1));
  EXPECT_TRUE(identical(y, twin_->forward(input(1))));
  Fuse::burn_forward = true;
  EXPECT_THROW(net_->forward(input(2)), std::runtime_error);
  Fuse::burn_forward = false;
  const Tensor dy = random_tensor(y.shape(), 3);
  EXPECT_TRUE(identical(net_->backward(dy), twin_->backward(dy)));
  expect_same(step(*net_, 4), step(*twin_, 4));
}

TEST_P(BrokenStep, a_backward_that_throws_forgets_its_forward) {
  const Tensor y = net_->forward(input(1));
  twin_->load_state_dict(net_->state_dict());
  Fuse::burn_backward = true;
  EXPECT_THROW(net_->backward(y), std::runtime_error);
  Fuse::burn_backward = false;
  EXPECT_THROW(net_->backward(y), StateError);
  expect_nothing_saved(*net_);
  expect_same(step(*net_, 2), step(*twin_, 2));
}

TEST_P(BrokenStep, a_gradient_that_does_not_fit_can_be_corrected) {
  const Tensor y = net_->forward(input(1));
  twin_->forward(input(1));
  const Snapshot before(*net_);
  EXPECT_THROW(net_->backward(Tensor()), ShapeError);
  EXPECT_THROW(net_->backward(random_tensor({4, 4}, 1)), ShapeError);
  EXPECT_THROW(net_->backward(random_tensor({4, 3}, 1, DType::f64)), ShapeError);
  EXPECT_EQ(before.difference(), "");
  EXPECT_TRUE(identical(net_->backward(y), twin_->backward(y)));
}

TEST_P(BrokenStep, backward_of_a_network_that_is_partly_cleared_changes_nothing) {
  const Tensor y = net_->forward(input(1));
  const Snapshot before(*net_);
  net_->child(0).clear_saved();
  EXPECT_NE(message_of<StateError>([&] { net_->backward(y); }).find("[Conv2d 0]"),
            std::string::npos);
  EXPECT_EQ(before.difference(), "");
}

TEST_P(BrokenStep, backward_twice_changes_nothing) {
  const Tensor y = net_->forward(input(1));
  net_->backward(y);
  const Snapshot before(*net_);
  EXPECT_EQ(message_of<StateError>([&] { net_->backward(y); }),
            "[Linear 9] backward without a forward to take back; call forward in training mode "
            "first, or keep_for_backward() in eval mode");
  EXPECT_EQ(before.difference(), "");
}

TEST_P(BrokenStep, each_allocation_of_a_forward_that_fails_is_undone) {
  // Without layers that only tests have, and warm, so that what is cached for good is cached.
  net_ = make_network(GetParam(), false);
  twin_ = net_->clone();
  expect_same(step(*net_, 1), step(*twin_, 1));
  const Snapshot before(*net_);
  Tensor y;
  const auto failures = fail_each_allocation([&] { y = net_->forward(input(2)); },
                                             [&] { ASSERT_EQ(before.difference(), ""); });
  EXPECT_GT(failures, 60);
  EXPECT_TRUE(identical(y, twin_->forward(input(2))));
  EXPECT_TRUE(identical(net_->backward(y), twin_->backward(y)));
  expect_same(step(*net_, 3), step(*twin_, 3));
}

TEST_P(BrokenStep, each_allocation_of_a_backward_that_fails_leaves_a_network_that_trains_on) {
  net_ = make_network(GetParam(), false);
  twin_ = net_->clone();
  const std::int64_t enough = 1000;
  std::int64_t failures = 0;
  for (bool through = false; !through && failures < enough;) {
    net_->load_state_dict(twin_->state_dict());
    const Tensor y = net_->forward(input(2));
    const testing::FailingAllocation failing(failures);
    try {
      net_->backward(y);
      through = true;
    } catch (const std::bad_alloc&) {
      ++failures;
    }
  }
  EXPECT_GT(failures, 60);
  EXPECT_LT(failures, enough);
  net_->load_state_dict(twin_->state_dict());
  expect_same(step(*net_, 3), step(*twin_, 3));
}

TEST(BrokenStep, fusing_forgets_what_was_saved) {
  Sequential net{Linear(3, 4), BatchNorm1d(4), ReLU()};
  const Tensor y = net.forward(random_tensor({5, 3}, 1));
  EXPECT_EQ(fuse(net), 1);
  EXPECT_THROW(net.backward(y), StateError);
  net.forward(random_tensor({5, 3}, 1));
  EXPECT_NO_THROW(net.backward(y));
}

TEST(BrokenStep, a_sum_that_was_not_reached_is_forgotten) {
  Residual net(Sequential{Fuse(), BatchNorm1d(3)}, ops::ActivationKind::relu);
  EXPECT_TRUE(net.join());
  const Tensor x = random_tensor({4, 3}, 1);
  Fuse::burn_forward = true;
  EXPECT_THROW(net.forward(x), std::runtime_error);
  Fuse::burn_forward = false;
  BatchNorm1d alone(3);
  alone.fuse_activation(norm::Activation::relu, 0);
  EXPECT_TRUE(identical(net.body().child(1).forward(x), alone.forward(x))) << "something was added";
}

TEST(BrokenStep, eval_mode_of_a_network_that_throws_is_left_as_it_was) {
  auto net = make_network(true);
  net->eval();
  net->keep_for_backward();
  const Snapshot before(*net);
  Fuse::burn_forward = true;
  EXPECT_THROW(net->forward(random_tensor({4, 3, 6, 6}, 1)), std::runtime_error);
  Fuse::burn_forward = false;
  EXPECT_EQ(before.difference(), "");
  EXPECT_THROW(net->backward(random_tensor({4, 3}, 1)), StateError);
}

}  // namespace
}  // namespace evenkeel::nn
