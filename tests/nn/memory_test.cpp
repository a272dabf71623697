// What layers keep for backward, and what they compute again.
#include <gtest/gtest.h>

#include "nn/tensors.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel {
namespace {

using testing::identical;
using testing::random_tensor;

/// Counts how often it is computed.
class Counting final : public Recomputation {
 public:
  explicit Counting(int& count) : count_(count) {}

 private:
  Tensor compute() const override {
    ++count_;
    return Tensor::full({4}, 2);
  }
  int& count_;
};

Tensor recomputed(int& count) {
  Tensor tensor = Tensor::full({4}, 2);
  tensor.set_recomputation(std::make_shared<const Counting>(count));
  return tensor;
}

TEST(Kept, gives_up_the_memory_of_what_can_be_computed_again) {
  int count = 0;
  Tensor tensor = recomputed(count);
  const std::size_t before = memory_stats().current;
  const nn::Kept kept(tensor);
  tensor = Tensor();
  EXPECT_LT(memory_stats().current, before);
  EXPECT_EQ(kept.shape(), Shape({4}));
  EXPECT_EQ(kept.tensor().span<float>()[3], 2);
  EXPECT_EQ(count, 1);
}

TEST(Kept, holds_what_nobody_can_compute_again) {
  const Tensor tensor = Tensor::full({4}, 3);
  const nn::Kept kept(tensor);
  const Tensor same = kept.tensor();
  EXPECT_EQ(same.raw(), tensor.raw());
}

TEST(Kept, is_computed_once_for_all_who_wait_for_it) {
  int count = 0;
  Tensor tensor = recomputed(count);
  auto first = std::make_unique<const nn::Kept>(tensor);
  const nn::Kept second(tensor);
  tensor = Tensor();
  (void)first->tensor();
  first.reset();
  (void)second.tensor();
  EXPECT_EQ(count, 1);
}

TEST(Recomputation, is_known_to_copies_of_a_handle_alone) {
  int count = 0;
  const Tensor tensor = recomputed(count);
  EXPECT_NE(Tensor(tensor).recomputation(), nullptr);
  EXPECT_NE(tensor.to(Layout::channels_first).recomputation(), nullptr);
  EXPECT_EQ(tensor.slice(0, 2).recomputation(), nullptr);
  EXPECT_EQ(tensor.reshape({2, 2}).recomputation(), nullptr);
  EXPECT_EQ(tensor.to(Layout::channels_last).recomputation(), nullptr);
  EXPECT_EQ(tensor.to(DType::f64).recomputation(), nullptr);
  EXPECT_EQ(tensor.clone().recomputation(), nullptr);
}

TEST(Recomputation, is_forgotten_where_the_elements_may_be_written) {
  int count = 0;
  Tensor filled = recomputed(count), copied = recomputed(count), raw = recomputed(count),
         data = recomputed(count);
  filled.fill(1);
  copied.copy_from(Tensor::zeros({4}));
  (void)raw.raw();
  (void)data.span<float>();
  for (const Tensor* tensor : {&filled, &copied, &raw, &data}) {
    EXPECT_EQ(tensor->recomputation(), nullptr);
  }
}

TEST(Recomputation, is_forgotten_by_all_handles_where_one_of_them_or_a_view_may_write) {
  int count = 0;
  const Tensor by_slice = recomputed(count), by_shape = recomputed(count),
               by_copy = recomputed(count);
  by_slice.slice(0, 1).fill(0);
  by_shape.reshape({2, 2}).fill(0);
  Tensor(by_copy).fill(0);
  for (const Tensor* tensor : {&by_slice, &by_shape, &by_copy}) {
    EXPECT_EQ(tensor->recomputation(), nullptr);
  }
}

struct Form {
  DType dtype = DType::f32;
  Layout layout = Layout::channels_first;
  norm::Activation activation = norm::Activation::relu;
  bool add = false;
  nn::BatchNormOptions options;
};

std::vector<Form> forms() {
  std::vector<Form> result;
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      for (const auto activation :
           {norm::Activation::none, norm::Activation::relu, norm::Activation::leaky_relu}) {
        for (const bool add : {false, true}) {
          result.push_back({dtype, layout, activation, add, {}});
          result.push_back({dtype, layout, activation, add, {.affine = false}});
          result.push_back({dtype, layout, activation, add, {.ghost_size = 2}});
          result.push_back({dtype, layout, activation, add, {.freeze = nn::Freeze::statistics}});
        }
      }
    }
  }
  return result;
}

TEST(Memory, batch_norm_computes_the_same_bits_again) {
  for (const Form& form : forms()) {
    nn::BatchNorm2d layer(5, form.options);
    if (form.options.affine) {
      layer.parameters()[0].parameter->value.copy_from(random_tensor({5}, 3));
      layer.parameters()[1].parameter->value.copy_from(random_tensor({5}, 4));
    }
    layer.to(form.dtype);
    layer.fuse_activation(form.activation, 0.1);
    layer.set_memory(nn::Memory::save);
    if (form.add) layer.set_addend(random_tensor({6, 5, 7, 3}, 2, form.dtype, form.layout));
    Tensor y = layer.forward(random_tensor({6, 5, 7, 3}, 1, form.dtype, form.layout));
    ASSERT_NE(y.recomputation(), nullptr);
    const Tensor copy = y.clone();
    const nn::Kept kept(y);
    y.fill(7);
    EXPECT_TRUE(identical(kept.tensor(), copy));
    EXPECT_EQ(kept.tensor().layout(), form.layout);
  }
}

TEST(Memory, nothing_is_computed_again_where_nothing_is_kept) {
  nn::BatchNorm2d layer(3);
  const Tensor x = random_tensor({4, 3, 2, 2}, 1);
  EXPECT_EQ(layer.forward(x).recomputation(), nullptr);
  layer.set_memory(nn::Memory::save);
  EXPECT_NE(layer.forward(x).recomputation(), nullptr);
  layer.eval();
  EXPECT_EQ(layer.forward(x).recomputation(), nullptr);
  layer.keep_for_backward();
  EXPECT_NE(layer.forward(x).recomputation(), nullptr);
}

/// What saving memory writes over its input (in_place_test.cpp) stands behind leaky_relu alone.
enum class Within { relu, leaky_relu };

nn::Sequential residual_net(Within within = Within::relu) {
  const auto block = [&] {
    nn::Sequential body{nn::Conv2d(4, 4, 3, {.padding = 1}), nn::BatchNorm2d(4)};
    if (within == Within::relu) {
      body.add(nn::ReLU());
    } else {
      body.add(nn::LeakyReLU(0.1));
    }
    body.add(nn::Conv2d(4, 4, 1)).add(nn::BatchNorm2d(4));
    return nn::Residual(std::move(body), ops::ActivationKind::relu);
  };
  nn::Sequential net{
      nn::Conv2d(2, 4, 3, {.padding = 1}),
      nn::BatchNorm2d(4),
      nn::ReLU(),
      block(),
      block(),
      nn::Residual(
          nn::Sequential{nn::Conv2d(4, 6, 3, {.stride = 2, .padding = 1}), nn::BatchNorm2d(6)},
          nn::Sequential{nn::Conv2d(4, 6, 1, {.stride = 2}), nn::BatchNorm2d(6)},
          ops::ActivationKind::relu),
      nn::Conv2d(6, 4, 1),
      nn::Flatten(),
      nn::Linear(4 * 4 * 4, 6),
      nn::BatchNorm1d(6),
      nn::ReLU(),
      nn::Linear(6, 3)};
  net.initialize(4);
  nn::fuse(net);
  return net;
}

TEST(Memory, gradients_keep_their_bits_when_it_is_saved) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    nn::Sequential normal = residual_net();
    nn::Sequential saving(normal);
    EXPECT_EQ(nn::set_memory(saving, nn::Memory::save), 8);
    const nn::Sequential copy(saving);
    const Tensor x = random_tensor({6, 2, 8, 8}, 1, DType::f32, layout);
    // Two forwards before two backwards: what one computes again is not the other's.
    const Tensor x2 = random_tensor({5, 2, 8, 8}, 2, DType::f32, layout);
    for (nn::Sequential* net : {&normal, &saving}) {
      (void)net->forward(x);
      (void)net->forward(x2);
    }
    const Tensor dy = random_tensor({6, 3}, 3), dy2 = random_tensor({5, 3}, 4);
    EXPECT_TRUE(identical(saving.backward(dy2), normal.backward(dy2)));
    EXPECT_TRUE(identical(saving.backward(dy), normal.backward(dy)));
    for (std::size_t i = 0; i < normal.parameters().size(); ++i) {
      EXPECT_TRUE(
          identical(saving.parameters()[i].parameter->grad, normal.parameters()[i].parameter->grad))
          << normal.parameters()[i].name;
    }
    EXPECT_TRUE(identical(nn::Sequential(copy).forward(x), nn::Sequential(normal).forward(x)));
  }
}

TEST(Memory, gradients_behind_leaky_relu_differ_by_rounding_when_it_is_saved) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    nn::Sequential normal = residual_net(Within::leaky_relu);
    normal.to(DType::f64);
    nn::Sequential saving(normal);
    nn::set_memory(saving, nn::Memory::save);
    const Tensor x = random_tensor({6, 2, 8, 8}, 1, DType::f64, layout);
    EXPECT_TRUE(identical(saving.forward(x), normal.forward(x)));
    const Tensor dy = random_tensor({6, 3}, 3, DType::f64);
    const auto expect_close = [](const Tensor& got, const Tensor& wanted) {
      const double scale =
          testing::max_difference(wanted, Tensor::zeros(wanted.shape(), DType::f64));
      EXPECT_LE(testing::max_difference(got, wanted), 1e-12 * std::max(scale, 1.0));
    };
    expect_close(saving.backward(dy), normal.backward(dy));
    for (std::size_t i = 0; i < normal.parameters().size(); ++i) {
      expect_close(saving.parameters()[i].parameter->grad, normal.parameters()[i].parameter->grad);
    }
    for (std::size_t i = 0; i < normal.buffers().size(); ++i) {
      EXPECT_TRUE(identical(saving.buffers()[i].buffer->value, normal.buffers()[i].buffer->value));
    }
  }
}

/// Bytes that one forward leaves behind for backward.
std::size_t kept_by(nn::Sequential& net, const Tensor& x) {
  const std::size_t before = memory_stats().current;
  (void)net.forward(x);
  const std::size_t kept = memory_stats().current - before;
  net.clear_saved();
  return kept;
}

TEST(Memory, saving_keeps_what_batch_norm_got_and_not_what_it_gave) {
  nn::Sequential net{nn::Conv2d(3, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), nn::ReLU(),
                     nn::Conv2d(8, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), nn::ReLU(),
                     nn::Conv2d(8, 8, 3, {.padding = 1})};
  nn::fuse(net);
  const Tensor x = random_tensor({16, 3, 16, 16}, 1);
  const std::size_t one = sizeof(float) * 16 * 8 * 16 * 16;
  const std::size_t normal = kept_by(net, x);
  EXPECT_GE(normal, 4 * one);
  nn::set_memory(net, nn::Memory::save);
  EXPECT_LE(kept_by(net, x), 2 * one + one / 8);  // and the masks and statistics
  nn::set_memory(net, nn::Memory::normal);
  EXPECT_EQ(kept_by(net, x), normal);
}

TEST(Memory, normally_what_is_large_and_takes_one_pass_is_made_again) {
  nn::BatchNorm2d layer(4);
  const Tensor large = random_tensor({16, 4, 128, 128}, 1),
               small = random_tensor({15, 4, 128, 128}, 1);
  ASSERT_EQ(large.bytes(), nn::kLargeTensor);
  EXPECT_NE(layer.forward(large).recomputation(), nullptr);
  EXPECT_EQ(layer.forward(small).recomputation(), nullptr);
  layer.set_addend(large);
  EXPECT_EQ(layer.forward(large).recomputation(), nullptr);
  layer.set_memory(nn::Memory::keep);
  EXPECT_EQ(layer.forward(large).recomputation(), nullptr);
}

TEST(Memory, nothing_stays_behind_after_backward) {
  for (const nn::Memory memory : {nn::Memory::keep, nn::Memory::normal, nn::Memory::save}) {
    for (const Within within : {Within::relu, Within::leaky_relu}) {
      nn::Sequential net = residual_net(within);
      nn::set_memory(net, memory);
      const std::size_t before = memory_stats().current;
      (void)net.backward(net.forward(random_tensor({6, 2, 8, 8}, 1)));
      EXPECT_EQ(memory_stats().current, before);
    }
  }
}

TEST(Memory, backward_in_place_gives_the_same_bits_and_spares_what_others_hold) {
  for (const bool add : {false, true}) {
    nn::BatchNorm2d layer(5);
    layer.fuse_activation(norm::Activation::relu, 0);
    auto other = layer.clone();
    const Tensor x = random_tensor({6, 5, 7, 3}, 1), dy = random_tensor({6, 5, 7, 3}, 2);
    for (nn::BatchNorm* norm :
         {&static_cast<nn::BatchNorm&>(layer), &static_cast<nn::BatchNorm&>(*other)}) {
      if (add) norm->set_addend(random_tensor({6, 5, 7, 3}, 3));
      (void)norm->forward(x);
      (void)norm->forward(x);
    }
    const Tensor expected = layer.backward(dy);
    Tensor given = dy.clone();
    const Tensor held = given;
    EXPECT_TRUE(identical(other->backward_in_place(std::move(given)), expected));
    EXPECT_TRUE(identical(held, dy));
    EXPECT_TRUE(identical(layer.take_addend_gradient(),
                          static_cast<nn::BatchNorm&>(*other).take_addend_gradient()));
    Tensor own = dy.clone();
    const void* const place = std::as_const(own).raw();
    const Tensor dx = other->backward_in_place(std::move(own));
    EXPECT_EQ(dx.raw(), place);
    EXPECT_TRUE(identical(dx, layer.backward(dy)));
  }
}

TEST(Memory, words_name_the_ways) {
  EXPECT_EQ(nn::memory_of("save"), nn::Memory::save);
  EXPECT_EQ(nn::name_of(nn::memory_of("normal")), "normal");
  EXPECT_THROW(nn::memory_of("tiny"), UsageError);
}

}  // namespace
}  // namespace evenkeel
