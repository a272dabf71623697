// Statistics and affine parameters held still, and batches too small to normalize.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/exact_norm.h"
#include "nn/gradient_check.h"
#include "nn/table_cases.h"
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using testing::identical;
using testing::message_of;
using testing::normal_tensor;
using testing::NormStep;
using testing::random_tensor;
using testing::Snapshot;

/// A layer that has seen a batch.
BatchNorm1d trained(const BatchNormOptions& options = {}) {
  BatchNorm1d layer(3, options);
  testing::disturb_affine(layer);
  layer.forward(normal_tensor({8, 3}, 4, 2, 3));
  layer.clear_saved();
  return layer;
}

bool trains_affine(BatchNorm& layer) {
  bool all = true;
  for (const auto& [name, parameter] : layer.parameters()) all = all && parameter->trainable;
  return all;
}

TEST(Freeze, statistics_alone_are_constants_that_gamma_and_beta_learn_over) {
  BatchNorm1d layer = trained();
  auto evaluated = layer.clone();
  evaluated->eval();
  evaluated->keep_for_backward();
  layer.freeze();
  layer.train();
  const Tensor x = normal_tensor({6, 3}, 1, 1, 1);
  EXPECT_EQ(NormStep(layer, x, x).difference(NormStep(*evaluated, x, x)), "");
  EXPECT_TRUE(trains_affine(layer));
  EXPECT_EQ(layer.frozen(), Freeze::statistics);
  EXPECT_EQ(layer.mode_note(), "running statistics fixed");
  EXPECT_NO_THROW(layer.forward(x.slice(0, 1))) << "one value per channel";
}

TEST(Freeze, affine_alone_leaves_the_statistics_moving) {
  BatchNorm1d layer = trained();
  auto plain = layer.clone();
  layer.freeze(Freeze::affine);
  layer.eval();
  layer.train();
  EXPECT_FALSE(trains_affine(layer));
  EXPECT_EQ(layer.mode_note(), "gamma and beta fixed");
  const Tensor x = normal_tensor({6, 3}, 1, 1, 1);
  EXPECT_EQ(NormStep(layer, x, x).difference(NormStep(*plain, x, x)), "");
  layer.unfreeze();
  EXPECT_TRUE(trains_affine(layer));
  EXPECT_EQ(layer.mode_note(), "");
}

TEST(Freeze, all_survives_train_and_copies_and_is_let_go) {
  BatchNorm1d layer = trained();
  layer.freeze(Freeze::all);
  auto copy = layer.clone();
  for (auto* one : {static_cast<Module*>(&layer), copy.get()}) {
    auto& norm = dynamic_cast<BatchNorm&>(*one);
    one->train();
    const Snapshot before(*one);
    one->forward(normal_tensor({6, 3}, 1, 1, 1));
    EXPECT_EQ(before.difference(), "");
    EXPECT_FALSE(trains_affine(norm));
    EXPECT_EQ(norm.mode_note(), "running statistics fixed, gamma and beta fixed");
    norm.unfreeze();
    EXPECT_TRUE(trains_affine(norm));
    one->forward(normal_tensor({6, 3}, 1, 1, 1));
    EXPECT_EQ(before.difference(), "running_mean");
  }
}

TEST(Freeze, from_one_part_to_the_other) {
  BatchNorm1d layer = trained();
  layer.freeze(Freeze::affine);
  layer.freeze(Freeze::statistics);
  EXPECT_TRUE(trains_affine(layer));
  const Snapshot before(layer);
  layer.forward(normal_tensor({6, 3}, 1, 1, 1));
  EXPECT_EQ(before.difference(), "");
}

TEST(Freeze, an_optimizer_leaves_frozen_gamma_and_beta_alone) {
  BatchNorm1d layer(3, {.freeze = Freeze::affine});
  EXPECT_EQ(layer.parameter_count(), 0);
  layer.unfreeze();
  EXPECT_EQ(layer.parameter_count(), 6);
}

TEST(Freeze, what_is_not_there_cannot_be_frozen) {
  BatchNorm1d no_affine(3, {.affine = false});
  EXPECT_EQ(message_of<UsageError>([&] { no_affine.freeze(Freeze::affine); }),
            "[BatchNorm1d] there are no gamma and beta to freeze");
  no_affine.freeze(Freeze::all);
  EXPECT_EQ(no_affine.mode_note(), "running statistics fixed");
  BatchNorm1d no_statistics(3, {.track_running_stats = false});
  EXPECT_THROW(no_statistics.freeze(), UsageError);
  no_statistics.freeze(Freeze::all);
  EXPECT_EQ(no_statistics.mode_note(), "gamma and beta fixed");
  const Tensor x = normal_tensor({6, 3}, 1, 1, 1);
  EXPECT_TRUE(identical(no_statistics.forward(x), BatchNorm1d(3).forward(x)));
  EXPECT_THROW(BatchNorm1d(3, {.track_running_stats = false, .freeze = Freeze::statistics}),
               UsageError);
}

Sequential network() {
  Sequential net{
      Conv2d(2, 3, 3), BatchNorm2d(3), Residual(Sequential{Conv2d(3, 3, 1), BatchNorm2d(3)}),
      Flatten(),       Linear(12, 4),  BatchNorm1d(4),
      BatchRenorm1d(4)};
  net.initialize(1);
  return net;
}

std::vector<std::string> frozen_paths(Module& net) {
  std::vector<std::string> paths;
  net.visit([&](const std::string& path, Module& module) {
    auto* layer = dynamic_cast<BatchNorm*>(&module);
    if (layer != nullptr && layer->frozen() != Freeze::none) paths.push_back(path);
  });
  return paths;
}

TEST(Freeze, layers_are_chosen_by_a_pattern_over_their_paths) {
  using Paths = std::vector<std::string>;
  for (const auto& [pattern, expected] :
       {std::pair<const char*, Paths>{"*", {"1", "2.body.1", "5", "6"}},
        {"?", {"1", "5", "6"}},
        {"2.*", {"2.body.1"}},
        {"*.1", {"2.body.1"}},
        {"*1*", {"1", "2.body.1"}},
        {"5", {"5"}}}) {
    Sequential net = network();
    EXPECT_EQ(freeze_batch_norm(net, pattern, Freeze::all), static_cast<int>(expected.size()));
    EXPECT_EQ(frozen_paths(net), expected) << pattern;
    EXPECT_EQ(freeze_batch_norm(net, pattern, Freeze::none), static_cast<int>(expected.size()));
    EXPECT_EQ(frozen_paths(net), Paths{}) << pattern;
  }
}

TEST(Freeze, a_pattern_that_fits_nothing_or_cannot_be_frozen_changes_nothing) {
  Sequential net = network();
  EXPECT_EQ(message_of<UsageError>([&] { freeze_batch_norm(net, "3.body.1"); }),
            "[freeze] none of the 4 batch norm layers has a path like '3.body.1'; did you mean "
            "'2.body.1'?; * stands for any text");
  net.add(BatchNorm1d(4, {.track_running_stats = false}));
  EXPECT_NE(message_of<UsageError>([&] { freeze_batch_norm(net, "*"); }).find("[BatchNorm1d 7]"),
            std::string::npos);
  EXPECT_TRUE(frozen_paths(net).empty());
}

TEST(Freeze, is_shown_where_a_network_is_described) {
  Sequential net = network();
  freeze_batch_norm(net, "5", Freeze::all);
  const std::string text = describe(net, {2, 2, 4, 4});
  EXPECT_NE(text.find("running statistics fixed, gamma and beta fixed"), std::string::npos) << text;
  EXPECT_NE(text.find("freeze=all"), std::string::npos) << text;
}

TEST(Freeze, words_of_a_config_are_checked) {
  const Options options{{"num_features", std::int64_t{3}}, {"freeze", std::string("statistic")}};
  EXPECT_EQ(message_of<UsageError>([&] { make_layer("BatchNorm1d", options); }),
            "[BatchNorm1d] there is no freeze 'statistic'; did you mean 'statistics'?");
  const Options policy{{"num_features", std::int64_t{3}}, {"small_batch", std::string("ignore")}};
  EXPECT_EQ(message_of<UsageError>([&] { make_layer("BatchRenorm2d", policy); }),
            "[BatchRenorm2d] there is no small_batch 'ignore'; known are error, running_stats");
}

TEST(SmallBatch, is_an_error_unless_the_policy_says_otherwise) {
  BatchNorm1d layer = trained();
  const Snapshot before(layer);
  EXPECT_NE(message_of<ShapeError>([&] {
              layer.forward(random_tensor({1, 3}, 1));
            }).find("more than one value per channel"),
            std::string::npos);
  EXPECT_EQ(before.difference(), "");
}

TEST(SmallBatch, is_an_error_in_eval_mode_without_running_statistics) {
  BatchNorm1d layer(3, {.track_running_stats = false});
  layer.eval();
  EXPECT_EQ(message_of<ShapeError>([&] {
              layer.forward(random_tensor({1, 3}, 1));
            }),
            "[BatchNorm1d] expected more than one value per channel where there are no running "
            "statistics, got input [1, 3]; use a larger batch, or track_running_stats");
}

TEST(SmallBatch, running_stats_does_what_frozen_statistics_do) {
  BatchNorm1d layer = trained({.small_batch = SmallBatch::running_stats});
  BatchNorm1d frozen = trained();
  frozen.freeze();
  const Tensor one = random_tensor({1, 3}, 1);
  const Snapshot before(layer);
  const NormStep step(layer, one, one);
  EXPECT_EQ(step.difference(NormStep(frozen, one, one)), "");
  layer.zero_grad();
  EXPECT_EQ(before.difference(), "") << "statistics and their count";
  layer.forward(random_tensor({2, 3}, 1));
  EXPECT_EQ(before.difference(), "running_mean") << "a batch that is large enough";
}

TEST(SmallBatch, running_stats_takes_batches_smaller_than_a_virtual_one) {
  BatchNorm1d layer = trained({.ghost_size = 4, .small_batch = SmallBatch::running_stats});
  const Snapshot before(layer);
  layer.forward(random_tensor({3, 3}, 1));
  EXPECT_EQ(before.difference(), "");
  layer.forward(random_tensor({4, 3}, 1));
  EXPECT_EQ(before.difference(), "running_mean");
}

TEST(SmallBatch, gradients_over_running_stats_are_those_of_central_differences) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    BatchNorm1d layer = trained({.small_batch = SmallBatch::running_stats});
    const auto report =
        testing::check_gradients(layer, testing::separated_tensor({1, 3, 1}, 2, layout));
    EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
  }
}

TEST(SmallBatch, running_stats_needs_some) {
  EXPECT_NE(message_of<UsageError>([] {
              BatchNorm1d(3,
                          {.track_running_stats = false, .small_batch = SmallBatch::running_stats});
            }).find("track_running_stats"),
            std::string::npos);
}

}  // namespace
}  // namespace evenkeel::nn
