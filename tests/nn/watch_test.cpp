#include <map>

#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/tensors.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using testing::identical;
using testing::message_of;
using testing::random_tensor;

/// Copies of what the watches of a network heard, by path.
struct Heard {
  std::map<std::string, std::vector<Tensor>> forward, backward;

  void listen(Module& network) {
    network.visit([this](const std::string& path, Module& module) {
      module.set_watch({[this, path](const Tensor& y) { forward[path].push_back(y.clone()); },
                        [this, path](const Tensor& dy) { backward[path].push_back(dy.clone()); }});
    });
  }
};

Sequential chain() {
  Sequential net{Linear(5, 4), BatchNorm1d(4), ReLU(), Linear(4, 3)};
  net.initialize(1);
  return net;
}

Graph joins() {
  Graph net;
  net.add("stem", Conv2d(2, 4, 3, {.padding = 1}))
      .add("left", Residual(Sequential{Conv2d(4, 4, 1), BatchNorm2d(4)}, Conv2d(4, 4, 1),
                            ops::ActivationKind::relu))
      .add("right", Concat{Conv2d(4, 2, 1), Conv2d(4, 2, 1)}, "stem")
      .add_sum("sum", {"left", "right"});
  net.initialize(1);
  return net;
}

TEST(Watch, sees_what_each_layer_gives_and_is_handed) {
  Sequential net = chain();
  Sequential alone(net);
  Heard heard;
  heard.listen(net);
  const Tensor x = random_tensor({6, 5}, 1);
  const Tensor dy = random_tensor({6, 3}, 2);
  net.forward(x);
  net.backward(dy);
  Tensor y = x;
  for (std::size_t i = 0; i < 4; ++i) {
    y = alone[i].forward(y);
    const std::string path = std::to_string(i);
    ASSERT_EQ(heard.forward[path].size(), 1u) << path;
    EXPECT_TRUE(identical(heard.forward[path][0], y)) << path;
  }
  Tensor gradient = dy;
  for (std::size_t i = 4; i-- > 0;) {
    const std::string path = std::to_string(i);
    ASSERT_EQ(heard.backward[path].size(), 1u) << path;
    EXPECT_TRUE(identical(heard.backward[path][0], gradient)) << path;
    gradient = alone[i].backward(gradient);
  }
}

TEST(Watch, is_called_by_every_container_once) {
  Graph net = joins();
  Heard heard;
  heard.listen(net);
  net.backward(net.forward(random_tensor({2, 2, 3, 4}, 1)));
  net.visit([&](const std::string& path, Module&) {
    EXPECT_EQ(heard.forward[path].size(), path.empty() ? 0u : 1u) << path;
    EXPECT_EQ(heard.backward[path].size(), path.empty() ? 0u : 1u) << path;
  });
}

TEST(Watch, is_called_for_the_parts_of_an_encoder) {
  for (const bool first : {true, false}) {
    Sequential net{EncoderLayer(4, 2, {.norm_first = first})};
    net.initialize(1);
    Heard heard;
    heard.listen(net);
    net.backward(net.forward(random_tensor({2, 4, 3}, 1)));
    for (std::size_t i = 0; i < net[0].child_count(); ++i) {
      const std::string& path = net[0].child(i).path();
      EXPECT_EQ(heard.forward[path].size(), 1u) << path;
      EXPECT_EQ(heard.backward[path].size(), 1u) << path;
    }
  }
}

TEST(Watch, changes_no_bits) {
  Graph plain = joins();
  fuse(plain);
  Graph watched(plain);
  Heard heard;
  heard.listen(watched);
  const Tensor x = random_tensor({2, 2, 3, 4}, 1);
  const Tensor y = plain.forward(x);
  EXPECT_TRUE(identical(watched.forward(x), y));
  EXPECT_TRUE(identical(watched.backward(y), plain.backward(y)));
  for (std::size_t i = 0; i < plain.parameters().size(); ++i) {
    EXPECT_TRUE(
        identical(watched.parameters()[i].parameter->grad, plain.parameters()[i].parameter->grad))
        << plain.parameters()[i].name;
  }
}

TEST(Watch, takes_no_memory_for_itself) {
  Sequential net;
  for (int i = 0; i < 8; ++i) net.add(Sequential{ReLU()});
  net.eval();
  const Tensor x = random_tensor({64, 1024}, 1);
  const auto peak_of_forward = [&] {
    net.forward(x);
    reset_peak_memory();
    const std::size_t before = memory_stats().current;
    net.forward(x);
    return memory_stats().peak - before;
  };
  const std::size_t unwatched = peak_of_forward();
  int calls = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    net[i].child(0).set_watch({[&calls](const Tensor&) { ++calls; }, {}});
  }
  EXPECT_EQ(peak_of_forward(), unwatched);
  EXPECT_EQ(calls, 16);
}

TEST(Watch, a_kept_handle_is_not_written_over) {
  // Batch norm in place writes over what the linear layer gave, unless somebody holds it.
  Sequential net{Linear(5, 4), BatchNorm1d(4, {.in_place = true})};
  net.initialize(1);
  Sequential alone(net);
  Tensor kept;
  net[0].set_watch({[&kept](const Tensor& y) { kept = y; }, {}});
  const Tensor x = random_tensor({6, 5}, 1);
  net.forward(x);
  EXPECT_TRUE(identical(kept, alone[0].forward(x)));
}

TEST(Watch, of_a_fused_batch_norm_sees_what_is_behind_the_activation) {
  Sequential plain = chain();
  Sequential fused(plain);
  ASSERT_EQ(fuse(fused), 1);
  Heard apart, together;
  apart.listen(plain);
  together.listen(fused);
  const Tensor x = random_tensor({6, 5}, 1);
  plain.backward(plain.forward(x));
  fused.backward(fused.forward(x));
  EXPECT_TRUE(identical(together.forward["1"][0], apart.forward["2"][0]));
  EXPECT_FALSE(identical(together.forward["1"][0], apart.forward["1"][0]));
  EXPECT_TRUE(identical(together.forward["2"][0], apart.forward["2"][0]));
  EXPECT_TRUE(identical(together.backward["1"][0], apart.backward["2"][0]));
  EXPECT_TRUE(identical(together.backward["2"][0], apart.backward["2"][0]));
}

TEST(Watch, of_a_joined_body_sees_what_is_behind_the_sum) {
  Graph net = joins();
  fuse(net);
  Heard heard;
  heard.listen(net);
  net.backward(net.forward(random_tensor({2, 2, 3, 4}, 1)));
  EXPECT_TRUE(identical(heard.forward["left.body.1"][0], heard.forward["left"][0]));
  EXPECT_TRUE(identical(heard.backward["left.body.1"][0], heard.backward["left"][0]));
}

TEST(Watch, hears_nothing_backward_where_nobody_needs_a_gradient) {
  Sequential net{ReLU(), Linear(5, 3)};
  net.initialize(1);
  net.set_needs_input_gradient(false);
  Heard heard;
  heard.listen(net);
  net.backward(net.forward(random_tensor({2, 5}, 1)));
  EXPECT_EQ(heard.forward["0"].size(), 1u);
  EXPECT_TRUE(heard.backward["0"].empty());
  EXPECT_EQ(heard.backward["1"].size(), 1u);
}

TEST(Watch, is_not_copied_and_can_be_taken_away) {
  Sequential net = chain();
  Heard heard;
  heard.listen(net);
  Sequential copy(net);
  copy.clone()->forward(random_tensor({6, 5}, 1));
  copy.forward(random_tensor({6, 5}, 1));
  EXPECT_TRUE(heard.forward.empty());
  EXPECT_TRUE(net[0].watch().forward);
  net[0].set_watch({});
  EXPECT_FALSE(net[0].watch().forward);
  net.forward(random_tensor({6, 5}, 1));
  EXPECT_TRUE(heard.forward["0"].empty());
  EXPECT_EQ(heard.forward["1"].size(), 1u);
}

TEST(Watch, that_throws_leaves_the_network_as_it_was) {
  Sequential net{BatchNorm1d(3), Linear(3, 2)};
  net.initialize(1);
  const Tensor mean = find(net, "0").buffers()[0].buffer->value.clone();
  net[0].set_watch({[](const Tensor&) { throw UsageError("enough"); }, {}});
  EXPECT_EQ(message_of<UsageError>([&] { net.forward(random_tensor({4, 3}, 1)); }), "enough");
  EXPECT_TRUE(identical(find(net, "0").buffers()[0].buffer->value, mean));
  EXPECT_THROW(net.backward(random_tensor({4, 2}, 1)), StateError);
}

TEST(Find, gives_modules_by_their_paths) {
  Graph net = joins();
  EXPECT_EQ(&find(net, ""), &net);
  EXPECT_EQ(&find(net, "stem"), &net.child(0));
  EXPECT_EQ(find(net, "left.body.1").label(), "BatchNorm2d left.body.1");
}

TEST(Find, names_the_nearest_path) {
  Graph net = joins();
  EXPECT_EQ(message_of<UsageError>([&] { find(net, "left.body.9"); }),
            "[Graph] expected the path of one of 9 modules, got 'left.body.9'; did you mean "
            "'left.body.0'?");
  EXPECT_TRUE(message_of<UsageError>([&] {
                find(net, "nothing like it");
              }).ends_with("'evenkeel inspect' lists them"));
}

}  // namespace
}  // namespace evenkeel::nn
