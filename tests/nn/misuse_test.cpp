// Every layer used the wrong way: a clear error in one line, and nothing changed.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/table_cases.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/loss.h>

namespace evenkeel::nn {
namespace {

using testing::cases_of;
using testing::fail_each_allocation;
using testing::identical;
using testing::LayerCase;
using testing::message_of;
using testing::random_tensor;
using testing::Snapshot;

class MisusedLayer : public ::testing::TestWithParam<std::string> {
 protected:
  void for_each_case(const std::function<void(const LayerCase&)>& check) {
    for (const LayerCase& one : cases_of(GetParam())) {
      SCOPED_TRACE(one.name());
      check(one);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Table, MisusedLayer, ::testing::ValuesIn(testing::layer_names()),
                         [](const auto& one) { return one.param; });

/// One line that names the layer.
void expect_message(const std::string& message, const std::string& layer) {
  EXPECT_NE(message.find("[" + layer), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

/// Gradients that do not fit y.
std::vector<Tensor> wrong_gradients(const Tensor& y) {
  std::vector<Tensor> wrong{Tensor(), Tensor::zeros({}), Tensor::zeros({3})};
  for (int i = 0; i < y.rank(); ++i) {
    wrong.push_back(Tensor::zeros(y.shape().with(i, y.dim(i) + 1), y.dtype(), y.layout()));
    wrong.push_back(Tensor::zeros(y.shape().with(i, 0), y.dtype(), y.layout()));
  }
  wrong.push_back(Tensor::zeros(y.shape(), DType::f64, y.layout()));
  wrong.push_back(Tensor::zeros(y.shape(), DType::i32, y.layout()));
  return wrong;
}

TEST_P(MisusedLayer, a_gradient_that_does_not_fit_can_be_corrected) {
  for_each_case([&](const LayerCase& one) {
    auto layer = one.make();
    const Tensor y = layer->forward(one.input());
    const Tensor dy = random_tensor(y.shape(), 5, DType::f32, y.layout());
    const Snapshot before(*layer);
    for (const Tensor& wrong : wrong_gradients(y)) {
      expect_message(message_of<ShapeError>([&] { layer->backward(wrong); }), GetParam());
      EXPECT_EQ(before.difference(), "");
    }
    const Tensor dx = layer->backward(dy);

    auto reference = one.make();
    reference->forward(one.input());
    EXPECT_TRUE(identical(dx, reference->backward(dy)));
    const auto expected = reference->parameters();
    const auto actual = layer->parameters();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(identical(expected[i].parameter->grad, actual[i].parameter->grad));
    }
  });
}

TEST_P(MisusedLayer, backward_before_forward_or_twice_or_after_clearing_changes_nothing) {
  for_each_case([&](const LayerCase& one) {
    auto layer = one.make();
    const Tensor x = one.input();
    const auto expect_refusal = [&](const Tensor& dy) {
      const Snapshot before(*layer);
      expect_message(message_of<StateError>([&] { layer->backward(dy); }), GetParam());
      expect_message(message_of<StateError>([&] { layer->expect_forward(); }), GetParam());
      EXPECT_EQ(before.difference(), "");
    };
    expect_refusal(x);
    const Tensor y = layer->forward(x);
    layer->expect_forward();
    layer->backward(y);
    expect_refusal(y);
    layer->forward(x);
    layer->clear_saved();
    expect_refusal(y);
    layer->eval();
    layer->forward(x);
    expect_refusal(y);
  });
}

TEST_P(MisusedLayer, after_a_change_of_shape_the_latest_forward_is_taken_back_first) {
  for_each_case([&](const LayerCase& one) {
    auto layer = one.make();
    const Shape small = one.sample->input;
    const Shape large = small.with(0, small[0] + 1);
    const Tensor y_small = layer->forward(one.input(small, 1));
    const Tensor y_large = layer->forward(one.input(large, 2));
    const Snapshot before(*layer);
    EXPECT_THROW(layer->backward(y_small), ShapeError);
    EXPECT_EQ(before.difference(), "");
    EXPECT_EQ(layer->backward(y_large).shape(), large);
    EXPECT_THROW(layer->backward(y_large), ShapeError);
    EXPECT_EQ(layer->backward(y_small).shape(), small);
  });
}

TEST_P(MisusedLayer, an_input_that_does_not_fit_changes_nothing) {
  for_each_case([&](const LayerCase& one) {
    auto layer = one.make();
    const Shape& shape = one.sample->input;
    std::vector<Tensor> inputs{Tensor(), Tensor::zeros({}), Tensor::zeros({4}),
                               Tensor::zeros(shape, DType::i32, one.layout),
                               Tensor::zeros(shape, DType::bf16, one.layout)};
    for (int i = 1; i < shape.rank(); ++i) {
      inputs.push_back(Tensor::zeros(shape.with(i, shape[i] + 1), DType::f32, one.layout));
      inputs.push_back(Tensor::zeros(shape.with(i, 0), DType::f32, one.layout));
    }
    int refused = 0;
    for (const Tensor& x : inputs) {
      const Snapshot before(*layer);
      try {
        layer->forward(x);
        layer->clear_saved();
      } catch (const Error& error) {
        ++refused;
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        EXPECT_EQ(before.difference(), "") << error.what();
        EXPECT_THROW(layer->expect_forward(), StateError) << "something was saved";
      }
    }
    if (layer->has_parameters()) {
      EXPECT_GE(refused, 5);
    }
  });
}

TEST_P(MisusedLayer, an_allocation_that_fails_in_forward_changes_nothing) {
  for_each_case([&](const LayerCase& one) {
    auto layer = one.make();
    auto reference = one.make();
    const Tensor x = one.input();
    const Tensor expected = reference->forward(x);
    Tensor y;
    const Snapshot before(*layer);
    fail_each_allocation([&] { y = layer->forward(x); },
                         [&] {
                           ASSERT_EQ(before.difference(), "");
                           ASSERT_THROW(layer->expect_forward(), StateError);
                         });
    EXPECT_TRUE(identical(y, expected));
    EXPECT_TRUE(identical(layer->backward(y), reference->backward(y)));
  });
}

TEST_P(MisusedLayer, an_allocation_that_fails_in_backward_changes_nothing_or_forgets_the_forward) {
  for_each_case([&](const LayerCase& one) {
    auto start = one.make();
    auto reference = start->clone();
    const Tensor x = one.input();
    const Tensor y = reference->forward(x);
    const Tensor dy = random_tensor(y.shape(), 5, DType::f32, y.layout());
    auto layer = start->clone();
    layer->forward(x);
    const Snapshot before(*layer);
    Tensor dx;
    fail_each_allocation(
        [&] { dx = layer->backward(dy); },
        [&] {
          if (message_of<StateError>([&] { layer->expect_forward(); }) == "no error") {
            ASSERT_EQ(before.difference(), "");
            return;
          }
          layer->load_state_dict(start->state_dict());
          layer->zero_grad();
          layer->forward(x);
        });
    EXPECT_TRUE(identical(dx, reference->backward(dy)));
    const auto expected = reference->parameters();
    const auto actual = layer->parameters();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(identical(expected[i].parameter->grad, actual[i].parameter->grad));
    }
  });
}

TEST_P(MisusedLayer, converting_forgets_what_was_saved) {
  for_each_case([&](const LayerCase& one) {
    auto layer = one.make();
    const Tensor y = layer->forward(one.input());
    layer->to(DType::f64);
    EXPECT_THROW(layer->backward(y), StateError);
  });
}

TEST(MisusedModule, a_child_that_does_not_exist_is_refused) {
  BatchNorm1d layer(3);
  EXPECT_EQ(message_of<UsageError>([&] { (void)layer.child(0); }),
            "[BatchNorm1d] expected one of 0 children, got number 0");
  EXPECT_THROW((void)layer.child_name(2), UsageError);
}

TEST(MisusedBatchNorm, eval_before_any_training_batch_uses_mean_0_and_variance_1) {
  BatchNorm1d layer(3);
  layer.eval();
  const Tensor x = random_tensor({4, 3}, 1);
  const Tensor y = layer.forward(x);
  const double scale = 1 / std::sqrt(1 + 1e-5);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    EXPECT_NEAR(y.data<float>()[i], x.data<float>()[i] * scale, 1e-6);
  }
  BatchNorm1d frozen(3);
  frozen.freeze();
  EXPECT_TRUE(identical(frozen.forward(x), y)) << "frozen before any batch: the same";
}

TEST(MisusedBatchNorm, settings_out_of_range_are_refused_and_kept_out) {
  EXPECT_THROW(BatchNorm1d(0), UsageError);
  EXPECT_THROW(BatchNorm1d(-3), UsageError);
  for (const double bad : {-1e-5, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    EXPECT_THROW(BatchNorm1d(3, {.eps = bad}), UsageError) << bad;
  }
  BatchNorm1d layer(3);
  for (const double bad : {-0.1, 1.1, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    EXPECT_THROW(BatchNorm1d(3, {.momentum = bad}), UsageError) << bad;
    EXPECT_THROW(BatchNorm1d(3, {.decay = bad}), UsageError) << bad;
    EXPECT_THROW(layer.set_momentum(bad), UsageError) << bad;
  }
  EXPECT_EQ(layer.settings().momentum, 0.1);
  EXPECT_THROW(BatchNorm1d(3, {.track_running_stats = false}).freeze(), UsageError);
}

TEST(MisusedBatchNorm, an_addend_that_does_not_fit_is_refused_once) {
  BatchNorm1d layer(3);
  const Tensor x = random_tensor({4, 3}, 1);
  const Snapshot before(layer);
  layer.set_addend(random_tensor({5, 3}, 2));
  EXPECT_THROW(layer.forward(x), ShapeError);
  EXPECT_EQ(before.difference(), "");
  BatchNorm1d fresh(3);
  EXPECT_TRUE(identical(layer.forward(x), fresh.forward(x)));
}

TEST(MisusedLoss, labels_that_do_not_fit_are_refused_by_row) {
  const Tensor logits = random_tensor({3, 4}, 1);
  const CrossEntropy loss;
  using Labels = std::vector<std::int32_t>;
  for (const Labels& bad : {Labels{0, 1, 4}, Labels{0, -1, 2}, Labels{0, 1}, Labels{0, 1, 2, 3},
                            Labels{}, Labels{0, 1, INT32_MAX}, Labels{INT32_MIN, 1, 2}}) {
    const auto message = message_of<ShapeError>([&] { loss(logits, bad); });
    EXPECT_EQ(message.rfind("[", 0), 0U) << message;
    EXPECT_THROW((void)loss.value(logits, bad), ShapeError);
  }
  const Labels good{0, 1, 2};
  EXPECT_NE(message_of<ShapeError>([&] {
              loss(logits, Labels{0, 1, 4});
            }).find("row 2"),
            std::string::npos);
  EXPECT_THROW(loss(Tensor(), good), ShapeError);
  EXPECT_THROW(loss(logits.to(DType::i32), good), ShapeError);
  EXPECT_THROW(loss(logits.reshape({12}), good), ShapeError);
  EXPECT_THROW(loss(Tensor::zeros({3, 0}), good), ShapeError);
  EXPECT_THROW(CrossEntropy{NAN}(logits, good), UsageError);
  EXPECT_THROW(CrossEntropy{1.5}(logits, good), UsageError);
  EXPECT_THROW(count_correct(logits, Labels{0}), ShapeError);
  EXPECT_THROW(count_correct(logits.to(DType::i32), good), ShapeError);
  EXPECT_THROW(count_correct(Tensor(), Labels{}), ShapeError);
}

TEST(MisusedLoss, targets_that_do_not_fit_are_refused) {
  const Tensor y = random_tensor({3, 4}, 1);
  const MeanSquaredError loss;
  EXPECT_THROW(loss(y, random_tensor({3, 5}, 2)), ShapeError);
  EXPECT_THROW(loss(y, y.to(DType::f64)), ShapeError);
  EXPECT_THROW(loss(y, Tensor()), ShapeError);
  EXPECT_THROW(loss(Tensor(), y), ShapeError);
}

}  // namespace
}  // namespace evenkeel::nn
