// Batch norm over virtual batches.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/exact_norm.h"
#include "nn/gradient_check.h"
#include "nn/table_cases.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using testing::disturb_affine;
using testing::exact_norm;
using testing::identical;
using testing::max_difference;
using testing::message_of;
using testing::normal_tensor;
using testing::NormStep;
using testing::random_tensor;
using testing::Snapshot;

constexpr Layout kLayouts[] = {Layout::channels_first, Layout::channels_last};

TEST(GhostBatchNorm, one_virtual_batch_is_batch_norm_in_all_bits) {
  for (const Layout layout : kLayouts) {
    const Tensor x = normal_tensor({6, 5, 7, 9}, 1, 3, 2, layout);
    const Tensor dy = normal_tensor({6, 5, 7, 9}, 2, 0, 1, layout);
    BatchNorm2d plain(5);
    BatchNorm2d ghost(5, {.ghost_size = 6});
    disturb_affine(plain);
    disturb_affine(ghost);
    EXPECT_EQ(NormStep(ghost, x, dy).difference(NormStep(plain, x, dy)), "");
  }
}

TEST(GhostBatchNorm, is_training_on_the_virtual_batches_one_after_another) {
  for (const Layout layout : kLayouts) {
    for (const std::optional<double> momentum : {std::optional(0.1), std::optional<double>()}) {
      const Tensor x = normal_tensor({10, 5, 11}, 1, 3, 2, layout);
      const Tensor dy = normal_tensor({10, 5, 11}, 2, 0, 1, layout);
      BatchNorm1d plain(5, {.momentum = momentum});
      BatchNorm1d ghost(5, {.momentum = momentum, .ghost_size = 4});
      disturb_affine(plain);
      disturb_affine(ghost);
      const NormStep step(ghost, x, dy);
      for (const auto& [begin, end] : {std::pair{0, 4}, {4, 8}, {8, 10}}) {
        EXPECT_TRUE(identical(plain.forward(x.slice(begin, end)), step.y.slice(begin, end)));
        EXPECT_TRUE(identical(plain.backward(dy.slice(begin, end)), step.dx.slice(begin, end)));
      }
      EXPECT_EQ(Snapshot(ghost).difference(), "");
      const auto expected = plain.state_dict();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(identical(expected[i].second, step.state[i].second)) << expected[i].first;
      }
      EXPECT_EQ(expected.back().first, "num_batches_tracked");
      EXPECT_EQ(expected.back().second.item(), 3);
      for (std::size_t i : {0u, 1u}) {
        EXPECT_TRUE(identical(plain.parameters()[i].parameter->grad,
                              step.state[expected.size() + i].second));
      }
    }
  }
}

TEST(GhostBatchNorm, a_last_virtual_batch_of_one_value_is_joined_to_the_one_before) {
  const Tensor x = normal_tensor({9, 3}, 1, 0, 1);
  BatchNorm1d ghost(3, {.ghost_size = 4});
  BatchNorm1d plain(3);
  const Tensor y = ghost.forward(x);
  EXPECT_TRUE(identical(y.slice(0, 4), plain.forward(x.slice(0, 4))));
  EXPECT_TRUE(identical(y.slice(4, 9), plain.forward(x.slice(4, 9))));
  // With positions one sample has a variance of its own.
  const Tensor spatial = normal_tensor({9, 3, 2}, 1, 0, 1);
  EXPECT_TRUE(identical(ghost.forward(spatial).slice(8, 9), plain.forward(spatial.slice(8, 9))));
}

TEST(GhostBatchNorm, is_never_active_in_eval_mode) {
  const Tensor x = normal_tensor({8, 3, 5}, 1, 2, 3);
  for (const bool tracked : {true, false}) {
    BatchNorm1d ghost(3, {.track_running_stats = tracked, .ghost_size = 2});
    BatchNorm1d plain(3, {.track_running_stats = tracked});
    ghost.eval();
    plain.eval();
    EXPECT_TRUE(identical(ghost.forward(x), plain.forward(x)));
    EXPECT_TRUE(identical(ghost.forward(x.slice(0, 1)), plain.forward(x.slice(0, 1))))
        << "fewer samples than a virtual batch";
  }
}

TEST(GhostBatchNorm, stays_within_the_bar_at_any_mean) {
  for (const double mean : {0.0, 1e4, 1e6}) {
    for (const Layout layout : kLayouts) {
      SCOPED_TRACE(fmt::format("{} {}", mean, evenkeel::name_of(layout)));
      const Tensor x = normal_tensor({11, 4, 150}, 1, mean, 1, layout);
      const Tensor dy = normal_tensor({11, 4, 150}, 2, 0, 1, layout);
      BatchNorm1d ghost(4, {.ghost_size = 4});
      const auto errors =
          testing::NormComparison(ghost, x, dy, exact_norm(4, {0, 4, 8, 11})).errors();
      EXPECT_LE(errors.y, testing::kBarOfY);
      EXPECT_LE(errors.dx, testing::kBarOfGradients);
      EXPECT_LE(errors.dgamma, testing::kBarOfGradients);
      EXPECT_LE(errors.dbeta, testing::kBarOfGradients);
    }
  }
}

TEST(GhostBatchNorm, has_the_same_bits_for_any_number_of_threads) {
  const int threads = max_threads();
  for (const Layout layout : kLayouts) {
    const Tensor x = normal_tensor({10, 70, 23, 21}, 1, 3, 2, layout);
    const Tensor dy = normal_tensor({10, 70, 23, 21}, 2, 0, 1, layout);
    const auto step = [&](int count) {
      set_max_threads(count);
      BatchNorm2d ghost(70, {.ghost_size = 3});
      return NormStep(ghost, x, dy);
    };
    const NormStep expected = step(1);
    for (const int count : {2, 3, 8}) EXPECT_EQ(step(count).difference(expected), "") << count;
  }
  set_max_threads(threads);
}

TEST(GhostBatchNorm, has_the_same_bits_fused_and_not) {
  const auto make = [] {
    Sequential body{Conv2d(3, 3, 3, {.padding = 1}), BatchNorm2d(3, {.ghost_size = 2}), ReLU(),
                    Conv2d(3, 3, 1), BatchNorm2d(3, {.ghost_size = 2})};
    auto net = std::make_unique<Sequential>();
    net->add(Residual(std::move(body)));
    net->initialize(4);
    return net;
  };
  for (const Layout layout : kLayouts) {
    const Tensor x = normal_tensor({5, 3, 6, 7}, 1, 0, 1, layout);
    const Tensor dy = normal_tensor({5, 3, 6, 7}, 2, 0, 1, layout);
    auto fused = make();
    auto plain = make();
    ASSERT_EQ(fuse(*fused), 2);
    EXPECT_EQ(NormStep(*fused, x, dy).difference(NormStep(*plain, x, dy)), "");
  }
}

TEST(GhostBatchNorm, gradients_with_a_ragged_last_batch_are_those_of_central_differences) {
  for (const Layout layout : kLayouts) {
    BatchNorm1d ghost(2, {.ghost_size = 3});
    ghost.initialize(1);
    disturb_affine(ghost);
    const auto report =
        testing::check_gradients(ghost, testing::separated_tensor({7, 2, 3}, 4, layout));
    EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
  }
}

TEST(GhostBatchNorm, a_batch_smaller_than_a_virtual_one_is_an_error_that_changes_nothing) {
  Sequential net{BatchNorm1d(3, {.ghost_size = 8})};
  const Snapshot before(net);
  EXPECT_EQ(message_of<ShapeError>([&] {
              net.forward(random_tensor({7, 3}, 1));
            }),
            "[BatchNorm1d 0] expected at least the 8 samples of ghost_size, got input [7, 3]; use "
            "eval(), a larger batch, drop_last, or a smaller ghost_size");
  EXPECT_EQ(before.difference(), "");
  EXPECT_THROW(net[0].expect_forward(), StateError);
  EXPECT_NO_THROW(net.forward(random_tensor({8, 3}, 1)));
}

TEST(GhostBatchNorm, virtual_batches_of_one_value_are_an_error_that_changes_nothing) {
  BatchNorm1d layer(3, {.ghost_size = 1});
  const Snapshot before(layer);
  EXPECT_NE(message_of<ShapeError>([&] {
              layer.forward(random_tensor({7, 3}, 1));
            }).find("make ghost_size 2 or more"),
            std::string::npos);
  EXPECT_EQ(before.difference(), "");
  EXPECT_NO_THROW(layer.forward(random_tensor({7, 3, 2}, 1)));
  EXPECT_THROW(BatchNorm1d(3, {.ghost_size = -1}), UsageError);
}

TEST(GhostBatchNorm, an_addend_of_another_batch_is_refused_before_anything_changes) {
  BatchNorm1d layer(3, {.ghost_size = 2});
  const Snapshot before(layer);
  layer.set_addend(random_tensor({5, 3}, 2));
  EXPECT_THROW(layer.forward(random_tensor({4, 3}, 1)), ShapeError);
  EXPECT_EQ(before.difference(), "");
}

TEST(GhostBatchNorm, the_guard_keeps_out_the_virtual_batch_that_is_not_finite_alone) {
  Tensor x = normal_tensor({6, 2}, 1, 0, 1);
  x.data<float>()[2 * 2] = NAN;
  BatchNorm1d layer(2, {.guard = true, .ghost_size = 2});
  layer.forward(x);
  EXPECT_EQ(layer.refused_batches(), 1);
  EXPECT_EQ(layer.state_dict().back().second.item(), 2);
}

TEST(GhostBatchNorm, an_empty_batch_changes_nothing) {
  BatchNorm1d layer(3, {.ghost_size = 4});
  const Snapshot before(layer);
  const Tensor y = layer.forward(Tensor::empty({0, 3, 5}));
  EXPECT_EQ(y.shape(), Shape({0, 3, 5}));
  EXPECT_EQ(layer.backward(y).shape(), y.shape());
  EXPECT_EQ(before.difference(), "");
}

/// A network with the loss of the whole batch, once with ghosts and once in micro-batches whose
/// gradients are added up.
TEST(GhostBatchNorm, accumulating_micro_batches_is_one_batch_of_virtual_ones) {
  const std::int64_t micro = 8;
  const std::int64_t count = 3;
  const auto make = [](std::int64_t ghost_size) {
    auto net = std::make_unique<Sequential>();
    net->add(Conv2d(2, 4, 3, {.padding = 1, .bias = false}))
        .add(BatchNorm2d(4, {.ghost_size = ghost_size}))
        .add(ReLU())
        .add(Flatten())
        .add(Linear(4 * 5 * 5, 6))
        .add(BatchNorm1d(6, {.ghost_size = ghost_size}))
        .add(ReLU())
        .add(Linear(6, 3));
    net->initialize(9);
    return net;
  };
  const Tensor x = normal_tensor({micro * count, 2, 5, 5}, 1, 1, 2);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < micro * count; ++i) labels.push_back(static_cast<int>(i % 3));
  const CrossEntropy loss;
  auto ghost = make(micro);
  auto accumulated = make(0);
  ghost->backward(loss(ghost->forward(x), labels).gradient);
  for (std::int64_t part = 0; part < count; ++part) {
    const std::span<const std::int32_t> some(labels.data() + part * micro, micro);
    const Tensor y = accumulated->forward(x.slice(part * micro, (part + 1) * micro));
    Tensor gradient = loss(y, some).gradient;
    for (float& value : gradient.span<float>()) value /= count;  // of the mean over all
    accumulated->backward(gradient);
  }
  const auto expected = accumulated->parameters();
  const auto actual = ghost->parameters();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LE(max_difference(expected[i].parameter->grad, actual[i].parameter->grad), 2e-6)
        << expected[i].name;
  }
  const auto left = accumulated->buffers();
  const auto right = ghost->buffers();
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i].buffer->value.dtype() == DType::i64) {
      EXPECT_EQ(left[i].buffer->value.item(), count);
    }
    EXPECT_LE(max_difference(left[i].buffer->value, right[i].buffer->value), 1e-6) << left[i].name;
  }
}

}  // namespace
}  // namespace evenkeel::nn
