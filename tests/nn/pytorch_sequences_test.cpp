// Recurrent and attention layers against what PyTorch computes, state dict and all.
#include "nn/pytorch_sequences.h"

#include <cmath>

#include <gtest/gtest.h>

#include "nn/tensors.h"
#include <evenkeel/nn/layers/attention.h>
#include <evenkeel/nn/layers/encoder.h>
#include <evenkeel/nn/layers/gru.h>
#include <evenkeel/nn/layers/lstm.h>

namespace evenkeel::nn {
namespace {

using testing::max_difference;
using testing::PytorchCase;

/// The formula of pytorch_sequences.py.
Tensor wave(const Shape& shape, double phase) {
  Tensor result = Tensor::empty(shape, DType::f64);
  for (std::int64_t i = 0; i < result.numel(); ++i) {
    result.data<double>()[i] = 0.5 * std::sin(0.37 * static_cast<double>(i) + phase);
  }
  return result;
}

/// PyTorch's [N, T, C] as [N, C, T]: the same memory, channels last.
Tensor as_sequences(const Tensor& rows) {
  Tensor result =
      Tensor::empty({rows.dim(0), rows.dim(2), rows.dim(1)}, DType::f64, Layout::channels_last);
  std::copy_n(rows.data<double>(), rows.numel(), result.data<double>());
  return result;
}
Tensor as_sequences(const std::vector<double>& values, const Shape& shape) {
  return as_sequences(Tensor::from<double>(values, {shape[0], shape[2], shape[1]}));
}

void expect_equal(Module& layer, const PytorchCase& wanted, std::int64_t channels) {
  layer.to(DType::f64);
  StateDict state = layer.state_dict(/*exported_only=*/true);
  for (std::size_t k = 0; k < state.size(); ++k) {
    state[k].second = wave(state[k].second.shape(), 0.1 * static_cast<double>(k));
  }
  layer.load_state_dict(state);
  layer.zero_grad();
  layer.set_lengths(Lengths({4, 1, 3}));
  const Tensor y = layer.forward(as_sequences(wave({3, 4, channels}, 1)));
  EXPECT_LE(max_difference(y, as_sequences(wanted.y, y.shape())), 1e-14);
  const Tensor dx = layer.backward(as_sequences(wave({3, 4, y.dim(1)}, 2)));
  EXPECT_LE(max_difference(dx, as_sequences(wanted.dx, dx.shape())), 1e-14);
  const auto parameters = layer.parameters();
  ASSERT_EQ(parameters.size(), wanted.sums.size());
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    double sum = 0;
    const auto gradient = parameters[k].parameter->grad.span<double>();
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      sum += gradient[i] * std::cos(static_cast<double>(i + 1));
    }
    EXPECT_NEAR(sum, wanted.sums[k], 1e-13) << parameters[k].name;
  }
}

TEST(Pytorch, LstmIsTheSame) {
  LSTM layer(3, 2, {.num_layers = 2, .bidirectional = true});
  expect_equal(layer, testing::kLstm, 3);
}

TEST(Pytorch, GruIsTheSame) {
  GRU layer(3, 2, {.num_layers = 2, .bidirectional = true});
  expect_equal(layer, testing::kGru, 3);
}

TEST(Pytorch, AttentionIsTheSame) {
  MultiheadAttention layer(4, 2);
  expect_equal(layer, testing::kAttention, 4);
}

TEST(Pytorch, EncoderLayerIsTheSame) {
  EncoderLayer behind(
      4, 2, {.feedforward_dim = 5, .norm_first = false, .activation = "relu", .dropout = 0});
  expect_equal(behind, testing::kEncoderBehind, 4);
  EncoderLayer before(4, 2, {.feedforward_dim = 5, .dropout = 0});
  expect_equal(before, testing::kEncoderBefore, 4);
}

}  // namespace
}  // namespace evenkeel::nn
