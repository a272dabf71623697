#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/gradient_check.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/graph.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/mean.h>
#include <evenkeel/nn/layers/permute.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/layers/softmax.h>

namespace evenkeel::nn {
namespace {

using testing::check_gradients;
using testing::identical;
using testing::kGradientTolerance;
using testing::message_of;
using testing::random_tensor;

/// A stem used by three nodes, a sum of two branches, and a concatenation that uses the stem again.
Graph diamond() {
  Graph net;
  net.add("stem", Conv2d(2, 3, 3, {.padding = 1}))
      .add("left", Conv2d(3, 3, 1), "stem")
      .add("right", Tanh(), "stem")
      .add_sum("sum", {"left", "right"})
      .add_concat("all", {"sum", "stem", "sum"})
      .add("head", Conv2d(9, 2, 1));
  net.initialize(1);
  return net;
}

TEST(Graph, diamond_gradients_are_those_of_central_differences) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Graph net = diamond();
    const auto report = check_gradients(net, random_tensor({2, 2, 3, 4}, 1, DType::f64, layout));
    EXPECT_LE(report.error, kGradientTolerance) << report.where;
  }
}

/// A gate as of squeeze-and-excitation, and a square.
TEST(Graph, gradients_of_products_are_those_of_central_differences) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Graph net;
    net.add("maps", Conv2d(2, 3, 1))
        .add("mean", Mean({2, 3}, {.keepdim = true}))
        .add("gate", Sigmoid())
        .add_product("gated", {"gate", "maps"})
        .add_product("square", {"gated", "gated"});
    net.initialize(1);
    const auto report = check_gradients(net, random_tensor({2, 2, 3, 4}, 1, DType::f64, layout));
    EXPECT_LE(report.error, kGradientTolerance) << report.where;
  }
}

/// What attention does, without its softmax.
TEST(Graph, gradients_of_products_of_matrices_are_those_of_central_differences) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Graph net;
    net.add("keys", Permute({0, 2, 1}))
        .add_matmul("scores", {"input", "keys"})
        .add("shares", Softmax())
        .add_matmul("mixed", {"shares", "input"});
    const auto report = check_gradients(net, random_tensor({2, 3, 4}, 1, DType::f64, layout));
    EXPECT_LE(report.error, kGradientTolerance) << report.where;
    const Tensor x = random_tensor({2, 3, 4}, 2, DType::f64, layout);
    EXPECT_EQ(net.forward(x).shape(), x.shape());
  }
}

TEST(Graph, products_of_what_does_not_fit_are_refused) {
  Graph net;
  net.add("narrow", Linear(4, 3)).add_product("product", {"input", "narrow"});
  EXPECT_NE(message_of<ShapeError>([&] {
              net.forward(random_tensor({2, 4}, 1));
            }).find("product"),
            std::string::npos);
  EXPECT_THROW(net.add_product("three", {"input", "narrow", "input"}), UsageError);
  EXPECT_THROW(net.add_matmul("one", {"input"}), UsageError);
  Graph matrices;
  matrices.add_matmul("square", {"input", "input"});
  EXPECT_THROW(matrices.forward(random_tensor({2, 3, 4}, 1)), ShapeError);
  EXPECT_NO_THROW(matrices.forward(random_tensor({2, 3, 3}, 1)));
}

TEST(Graph, twenty_thousand_nodes_are_added_and_run) {
  Graph net;
  for (int i = 0; i < 20'000; ++i) net.add("node" + std::to_string(i), Tanh());
  const Tensor y = net.forward(random_tensor({2, 3}, 1));
  EXPECT_EQ(net.backward(y).shape(), (Shape{2, 3}));
}

TEST(Graph, chain_equals_sequential) {
  Graph graph;
  graph.add("a", Linear(4, 3)).add("b", Tanh()).add("c", Linear(3, 2));
  graph.initialize(1);
  Sequential net;
  for (std::size_t i = 0; i < 3; ++i) net.add(graph.child(i).clone());
  const Tensor x = random_tensor({5, 4}, 1);
  const Tensor y = graph.forward(x);
  EXPECT_TRUE(identical(y, net.forward(x)));
  EXPECT_TRUE(identical(graph.backward(y), net.backward(y)));
}

TEST(Graph, sum_with_the_input_equals_residual) {
  Residual residual(Linear(3, 3));
  residual.initialize(1);
  Graph graph;
  graph.add("body", residual.body().clone()).add_sum("sum", {"body", "input"});
  const Tensor x = random_tensor({5, 3}, 1);
  const Tensor y = graph.forward(x);
  EXPECT_TRUE(identical(y, residual.forward(x)));
  EXPECT_LE(testing::max_difference(graph.backward(y), residual.backward(y)), 1e-6);
}

TEST(Graph, parameters_are_named_by_node) {
  Graph net = diamond();
  EXPECT_EQ(net.parameters()[0].name, "stem.weight");
  EXPECT_EQ(net.parameters()[2].name, "left.weight");
  EXPECT_EQ(net.child(1).label(), "Conv2d left");
}

TEST(Graph, copy_is_deep) {
  Graph net = diamond();
  Graph copy(net);
  const Tensor x = random_tensor({2, 2, 3, 4}, 1);
  const Tensor y = net.forward(x);
  EXPECT_TRUE(identical(copy.forward(x), y));
  copy.parameters()[0].parameter->value.fill(0);
  EXPECT_TRUE(identical(net.forward(x), y));
}

TEST(Graph, chosen_output_leaves_later_and_unused_nodes_unrun) {
  Graph net;
  net.add("unused", Dropout(0.5)).add("used", Linear(3, 2), "input").add("later", Dropout(0.5));
  net.set_output("used");
  EXPECT_EQ(net.output_shape({4, 3}), Shape({4, 2}));
  const Tensor y = net.forward(random_tensor({4, 3}, 1));
  EXPECT_EQ(y.shape(), Shape({4, 2}));
  for (const auto& [name, buffer] : net.buffers()) {
    EXPECT_EQ(buffer->value.data<std::int64_t>()[2], 0) << name << " has drawn";
  }
  EXPECT_TRUE(net.backward(y).defined());
}

TEST(Graph, without_nodes_hands_its_input_through) {
  Graph net;
  const Tensor x = random_tensor({2, 3}, 1);
  EXPECT_EQ(net.forward(x).raw(), x.raw());
  EXPECT_EQ(net.backward(x).raw(), x.raw());
}

TEST(Graph, input_gradient_is_skipped_when_nobody_needs_it) {
  Graph net = diamond();
  Graph full(net);
  net.set_needs_input_gradient(false);
  EXPECT_FALSE(net.child(0).needs_input_gradient());
  EXPECT_TRUE(net.child(1).needs_input_gradient());
  const Tensor x = random_tensor({2, 2, 3, 4}, 1);
  const Tensor y = net.forward(x);
  full.forward(x);
  EXPECT_FALSE(net.backward(y).defined());
  full.backward(y);
  for (std::size_t i = 0; i < net.parameters().size(); ++i) {
    EXPECT_TRUE(
        identical(net.parameters()[i].parameter->grad, full.parameters()[i].parameter->grad));
  }
}

TEST(Graph, layers_before_all_parameters_are_not_run_backward) {
  Graph net;
  net.add("front", Tanh()).add("linear", Linear(3, 3)).add_sum("sum", {"linear", "front"});
  net.initialize(1);
  net.set_needs_input_gradient(false);
  const Tensor y = net.forward(random_tensor({2, 3}, 1));
  EXPECT_FALSE(net.backward(y).defined());
  EXPECT_THROW(net.child(0).backward(y), StateError);
}

TEST(Graph, releases_values_after_their_last_use) {
  const Shape shape{64, 1024};
  Graph net;
  for (int i = 0; i < 8; ++i) net.add(fmt::format("n{}", i), ReLU());
  net.eval();
  const Tensor x = random_tensor(shape, 1);
  net.forward(x);
  reset_peak_memory();
  const std::size_t before = memory_stats().current;
  net.forward(x);
  EXPECT_LE(memory_stats().peak - before, 3 * x.bytes());
}

TEST(Graph, unknown_input_suggests_the_nearest) {
  Graph net;
  net.add("stem", Identity());
  EXPECT_EQ(message_of<UsageError>([&] { net.add("next", Identity(), "stam"); }),
            "[Graph] there is no node 'stam' yet; did you mean 'stem'?");
  EXPECT_THROW(net.add_sum("sum", {"stem", "nowhere"}), UsageError);
  EXPECT_THROW(net.set_output("nowhere"), UsageError);
  EXPECT_EQ(net.nodes().size(), 2u);
  EXPECT_EQ(net.child_count(), 1u);
}

TEST(Graph, names_are_unique_and_without_dots) {
  Graph net;
  net.add("a", Identity());
  EXPECT_EQ(message_of<UsageError>([&] { net.add("a", Identity()); }),
            "[Graph] there is a node 'a' already; give each its own name");
  EXPECT_THROW(net.add("input", Identity()), UsageError);
  EXPECT_THROW(net.add("a.b", Identity()), UsageError);
  EXPECT_THROW(net.add("", Identity()), UsageError);
  EXPECT_THROW(net.add_sum("none", {}), UsageError);
  EXPECT_THROW(net.add("null", std::unique_ptr<Module>()), UsageError);
}

TEST(Graph, shapes_that_do_not_join_name_the_node) {
  Graph net;
  net.add("a", Linear(3, 2)).add_sum("sum", {"a", "input"});
  EXPECT_EQ(message_of<ShapeError>([&] {
              net.forward(random_tensor({4, 3}, 1));
            }),
            "[Graph] expected inputs of node 'sum' of one shape to add, got [4, 2] and [4, 3]");
}

}  // namespace
}  // namespace evenkeel::nn
