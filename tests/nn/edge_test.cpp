// Every layer with batches of nothing, of one sample, and with a last batch that is short.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/table_cases.h"

namespace evenkeel::nn {
namespace {

using testing::cases_of;
using testing::identical;
using testing::LayerCase;
using testing::random_tensor;
using testing::Snapshot;

class LayerAtTheEdge : public ::testing::TestWithParam<std::string> {
 protected:
  void for_each_case(const std::function<void(const LayerCase&)>& check) {
    for (const LayerCase& one : cases_of(GetParam())) {
      SCOPED_TRACE(one.name());
      check(one);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Table, LayerAtTheEdge, ::testing::ValuesIn(testing::layer_names()),
                         [](const auto& one) { return one.param; });

TEST_P(LayerAtTheEdge, an_empty_training_batch_changes_nothing) {
  for_each_case([](const LayerCase& one) {
    auto layer = one.make();
    const Shape shape = one.sample->input.with(0, 0);
    const Snapshot before(*layer);
    const Tensor y = layer->forward(Tensor::empty(shape, DType::f32, one.layout));
    EXPECT_EQ(y.shape(), layer->output_shape(shape));
    EXPECT_EQ(layer->backward(y).shape(), shape);
    EXPECT_EQ(before.difference(), "");
  });
}

TEST_P(LayerAtTheEdge, a_short_last_batch_gives_what_it_gives_alone) {
  for_each_case([](const LayerCase& one) {
    auto layer = one.make();
    const Shape full = one.sample->input.with(0, 5);
    const Shape rest = one.sample->input.with(0, 2);
    layer->backward(layer->forward(one.input(full, 1)));
    auto alone = layer->clone();
    alone->zero_grad();
    layer->zero_grad();
    const Tensor y = layer->forward(one.input(rest, 2));
    EXPECT_TRUE(identical(y, alone->forward(one.input(rest, 2))));
    const Tensor dy = random_tensor(y.shape(), 3, DType::f32, y.layout());
    EXPECT_TRUE(identical(layer->backward(dy), alone->backward(dy)));
    const auto a = layer->parameters(), b = alone->parameters();
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_TRUE(identical(a[i].parameter->grad, b[i].parameter->grad)) << a[i].name;
    }
  });
}

TEST_P(LayerAtTheEdge, a_single_sample_is_taken_or_refused_with_advice) {
  for_each_case([](const LayerCase& one) {
    auto layer = one.make();
    const Shape single = one.sample->input.with(0, 1);
    const Snapshot before(*layer);
    try {
      const Tensor y = layer->forward(one.input(single, 1));
      EXPECT_EQ(y.shape(), layer->output_shape(single));
      EXPECT_EQ(layer->backward(y).shape(), single);
    } catch (const ShapeError& error) {
      // Statistics of one value are none.
      EXPECT_NE(std::string(error.what()).find("eval()"), std::string::npos) << error.what();
      EXPECT_EQ(before.difference(), "");
      EXPECT_THROW(layer->expect_forward(), StateError);
    }
    // Without running statistics eval mode uses those of the batch as well.
    if (!layer->options().get("track_running_stats", true)) return;
    layer->clear_saved();
    layer->eval();
    EXPECT_EQ(layer->forward(one.input(single, 1)).shape(), layer->output_shape(single));
  });
}

}  // namespace
}  // namespace evenkeel::nn
