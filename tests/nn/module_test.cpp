#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/tensors.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

using testing::identical;
using testing::message_of;
using testing::random_tensor;

Sequential make_net() {
  Sequential net{Linear(3, 2), Dropout(0.5), Linear(2, 1)};
  net.initialize(1);
  return net;
}

TEST(Module, counts_trainable_parameters) {
  Sequential net = make_net();
  EXPECT_EQ(net.parameter_count(), 6 + 2 + 2 + 1);
  net.parameters()[0].parameter->trainable = false;
  EXPECT_EQ(net.parameter_count(), 2 + 2 + 1);
}

TEST(Module, zero_grad_clears_every_gradient) {
  Sequential net = make_net();
  const Tensor y = net.forward(random_tensor({4, 3}, 1));
  net.backward(Tensor::full(y.shape(), 1));
  net.zero_grad();
  for (const auto& [name, parameter] : net.parameters()) {
    EXPECT_TRUE(identical(parameter->grad, Tensor::zeros(parameter->grad.shape()))) << name;
  }
}

TEST(Module, converts_parameters_but_not_buffers) {
  Sequential net = make_net();
  net.to(DType::f64);
  EXPECT_EQ(net.parameters()[0].parameter->value.dtype(), DType::f64);
  EXPECT_EQ(net.parameters()[0].parameter->grad.dtype(), DType::f64);
  EXPECT_EQ(net.buffers()[0].buffer->value.dtype(), DType::i64);
  EXPECT_THROW(net.to(DType::u8), UsageError);
}

TEST(Module, state_dict_shares_memory) {
  Sequential net = make_net();
  net.state_dict()[0].second.fill(4);
  EXPECT_EQ(net.parameters()[0].parameter->value.data<float>()[0], 4);
}

TEST(Module, load_refuses_missing_surplus_and_misshapen_tensors_and_changes_nothing) {
  Sequential net = make_net();
  const Sequential before(net);
  StateDict state;
  for (const auto& [name, tensor] : net.state_dict()) {
    state.emplace_back(name, Tensor::zeros(tensor.shape(), tensor.dtype()));
  }
  StateDict missing(state.begin(), state.end() - 1);
  EXPECT_EQ(message_of<Error>([&] { net.load_state_dict(missing); }),
            "[Sequential] the state has no tensor '2.bias'");
  StateDict surplus = state;
  surplus.emplace_back("2.wait", Tensor::zeros({1}));
  EXPECT_NE(message_of<Error>([&] { net.load_state_dict(surplus); }).find("'2.wait'"),
            std::string::npos);
  StateDict misshapen = state;
  misshapen.back().second = Tensor::zeros({2});
  EXPECT_EQ(message_of<ShapeError>([&] { net.load_state_dict(misshapen); }),
            "[Sequential] '2.bias' has shape [2], expected [1]");
  Sequential copy(before);
  for (std::size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(identical(net.state_dict()[i].second, copy.state_dict()[i].second));
  }
}

TEST(Module, initialize_draws_from_the_path) {
  Sequential inner{Linear(4, 4)};
  Sequential net{Sequential{Linear(4, 4)}, Linear(4, 4)};
  inner.initialize(1);
  net.initialize(1);
  EXPECT_FALSE(
      identical(net.parameters()[0].parameter->value, inner.parameters()[0].parameter->value));
}

TEST(Module, warm_training_step_asks_the_system_for_nothing) {
  Sequential net{Linear(64, 64), ReLU(), Linear(64, 64)};
  const Tensor x = random_tensor({32, 64}, 1);
  const auto step = [&] { net.backward(net.forward(x)); };
  for (int i = 0; i < 3; ++i) step();
  const auto before = memory_stats().system_requests;
  for (int i = 0; i < 5; ++i) step();
  EXPECT_EQ(memory_stats().system_requests, before);
}

}  // namespace
}  // namespace evenkeel::nn
