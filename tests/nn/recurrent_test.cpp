// Recurrent layers: equations, sequences of different lengths, gradients.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/gradient_check.h"
#include "nn/recurrent_reference.h"
#include <evenkeel/nn/layer_table.h>

namespace evenkeel::nn {
namespace {

using testing::difference_to;
using testing::identical;
using testing::max_difference;
using testing::message_of;
using testing::random_tensor;
using testing::RecurrentReference;
using testing::sequences_of;

const std::vector<std::int64_t> kRagged{2, 5, 1, 0, 5, 3};

std::unique_ptr<Recurrent> make(const std::string& type, Options options) {
  options.set("input_size", std::int64_t{3});
  options.set("hidden_size", std::int64_t{4});
  auto module = make_layer(type, options);
  module->initialize(11);
  return std::unique_ptr<Recurrent>(dynamic_cast<Recurrent*>(module.release()));
}

struct Variant {
  std::string name, type;
  Options options;
};

std::vector<Variant> variants() {
  const std::int64_t two = 2;
  const std::string layer = "layer", batch = "batch";
  return {
      {"lstm", "LSTM", {}},
      {"lstm_without_bias", "LSTM", {{"bias", false}}},
      {"lstm_both_ways", "LSTM", {{"bidirectional", true}}},
      {"lstm_stacked", "LSTM", {{"num_layers", std::int64_t{3}}}},
      {"lstm_stacked_both_ways",
       "LSTM",
       {{"num_layers", two}, {"bidirectional", true}, {"dropout", 0.3}}},
      {"gru", "GRU", {}},
      {"gru_without_bias", "GRU", {{"bias", false}}},
      {"gru_stacked_both_ways",
       "GRU",
       {{"num_layers", two}, {"bidirectional", true}, {"dropout", 0.3}}},
      {"layer_norm", "LSTM", {{"norm", layer}}},
      {"layer_norm_without_cell", "LSTM", {{"norm", layer}, {"norm_cell", false}}},
      {"layer_norm_stacked_both_ways",
       "LSTM",
       {{"norm", layer}, {"num_layers", two}, {"bidirectional", true}}},
      {"batch_norm", "LSTM", {{"norm", batch}}},
      {"batch_norm_few_steps", "LSTM", {{"norm", batch}, {"max_steps", two}, {"gamma", 0.8}}},
      {"batch_norm_cell", "LSTM", {{"norm", batch}, {"norm_cell", true}, {"gamma", 0.5}}},
      {"batch_norm_cumulative", "LSTM", {{"norm", batch}, {"cumulative", true}}},
      {"batch_norm_stacked_both_ways",
       "LSTM",
       // A large eps: two sequences that nearly agree bend the function within a difference's step.
       {{"norm", batch}, {"num_layers", two}, {"bidirectional", true}, {"eps", 1e-2}}}};
}

class EveryRecurrent : public ::testing::TestWithParam<Variant> {
 protected:
  std::unique_ptr<Recurrent> layer() const { return make(GetParam().type, GetParam().options); }
  bool has_batch_norm() const { return GetParam().name.starts_with("batch_norm"); }
  bool has_dropout() const { return GetParam().options.contains("dropout"); }
  /// With running statistics that have seen batches.
  std::unique_ptr<Recurrent> evaluating() const {
    auto result = layer();
    if (has_batch_norm()) {
      for (std::uint64_t seed = 60; seed < 63; ++seed) result->forward(input(seed));
      result->clear_saved();
    }
    result->eval();
    return result;
  }
  static Tensor input(std::uint64_t seed, DType dtype = DType::f32,
                      Layout layout = Layout::channels_last) {
    return random_tensor({6, 3, 5}, seed, dtype, layout);
  }
  static std::vector<testing::Sequence> reference(Recurrent& layer, const Tensor& x,
                                                  const std::vector<std::int64_t>& lengths) {
    if (auto* const lstm = dynamic_cast<LSTM*>(&layer)) {
      return RecurrentReference(*lstm).run(sequences_of(x, lengths));
    }
    return RecurrentReference(dynamic_cast<GRU&>(layer)).run(sequences_of(x, lengths));
  }
};

INSTANTIATE_TEST_SUITE_P(Variants, EveryRecurrent, ::testing::ValuesIn(variants()),
                         [](const auto& one) { return one.param.name; });

TEST_P(EveryRecurrent, equals_its_equations_written_as_loops) {
  for (const bool training : {true, false}) {
    if (training && has_dropout()) continue;
    auto net = evaluating();
    net->train(training);
    net->to(DType::f64);
    net->set_lengths(Lengths(kRagged));
    const Tensor x = input(1, DType::f64);
    const auto wanted = reference(*net, x, kRagged);
    EXPECT_LE(difference_to(net->forward(x), wanted), 1e-12) << "training: " << training;
  }
}

TEST_P(EveryRecurrent, single_precision_is_near_its_equations) {
  auto net = evaluating();
  net->set_lengths(Lengths(kRagged));
  const Tensor x = input(1);
  EXPECT_LE(difference_to(net->forward(x), reference(*net, x, kRagged)), 2e-6);
}

TEST_P(EveryRecurrent, gradients_are_those_of_central_differences) {
  for (const bool training : {true, false}) {
    auto net = evaluating();
    net->train(training);
    net->set_lengths(Lengths(kRagged));
    const Layout order = training ? Layout::channels_last : Layout::channels_first;
    const auto report = testing::check_gradients(*net, input(2, DType::f64, order));
    EXPECT_LE(report.error, testing::kGradientTolerance)
        << report.where << ", training: " << training;
  }
}

TEST_P(EveryRecurrent, a_sequence_in_a_batch_is_the_sequence_alone) {
  auto net = evaluating();
  net->to(DType::f64);
  const Tensor x = input(3, DType::f64);
  net->set_lengths(Lengths(kRagged));
  net->keep_for_backward();
  const Tensor y = net->forward(x);
  const Tensor dy = random_tensor(y.shape(), 4, DType::f64, y.layout());
  const Tensor dx = net->backward(dy);
  net->set_lengths({});
  const auto first_steps = [](const Tensor& all, std::int64_t n, std::int64_t steps) {
    Tensor one = Tensor::empty({1, all.dim(1), steps}, all.dtype(), all.layout());
    for (std::int64_t i = 0; i < one.numel(); ++i) {  // channels last: the steps lie in front
      one.data<double>()[i] = all.slice(n, n + 1).data<double>()[i];
    }
    return one;
  };
  for (std::int64_t n = 0; n < x.dim(0); ++n) {
    const std::int64_t steps = kRagged[static_cast<std::size_t>(n)];
    if (steps == 0) continue;
    EXPECT_LE(max_difference(net->forward(first_steps(x, n, steps)), first_steps(y, n, steps)),
              1e-13);
    EXPECT_LE(max_difference(net->backward(first_steps(dy, n, steps)), first_steps(dx, n, steps)),
              1e-13);
  }
}

TEST_P(EveryRecurrent, padding_enters_nothing) {
  auto net = evaluating();
  net->train();
  net->set_lengths(Lengths(kRagged));
  auto other = net->clone();
  const Tensor x = input(5);
  Tensor spoiled = x.clone();
  Tensor dy = random_tensor(net->output_shape(x.shape()), 6, DType::f32, x.layout());
  Tensor spoiled_dy = dy.clone();
  for (Tensor* const one : {&spoiled, &spoiled_dy}) {
    const std::int64_t channels = one->dim(1);
    for (std::int64_t n = 0; n < 6; ++n) {
      for (std::int64_t t = kRagged[static_cast<std::size_t>(n)]; t < 5; ++t) {
        for (std::int64_t c = 0; c < channels; ++c) {
          one->data<float>()[(n * 5 + t) * channels + c] = std::nanf("");
        }
      }
    }
  }
  EXPECT_TRUE(identical(net->forward(x), other->forward(spoiled)));
  EXPECT_TRUE(identical(net->backward(dy), other->backward(spoiled_dy)));
  const auto expected = net->parameters();
  const auto actual = other->parameters();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(identical(expected[i].parameter->grad, actual[i].parameter->grad))
        << expected[i].name;
  }
  const StateDict state = net->state_dict();
  for (std::size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(identical(state[i].second, other->state_dict()[i].second)) << state[i].first;
  }
}

TEST_P(EveryRecurrent, more_padding_changes_no_bit) {
  auto net = evaluating();
  const Tensor x = random_tensor({2, 3, 4}, 7, DType::f32, Layout::channels_last);
  Tensor wide = Tensor::zeros({2, 3, 9}, DType::f32, Layout::channels_last);
  for (std::int64_t n = 0; n < 2; ++n) {
    std::copy_n(x.slice(n, n + 1).data<float>(), 12, wide.slice(n, n + 1).data<float>());
  }
  net->set_lengths(Lengths({4, 2}));
  const Tensor y = net->forward(x);
  const Tensor y_wide = net->forward(wide);
  for (std::int64_t n = 0; n < 2; ++n) {
    const auto narrow = y.slice(n, n + 1);
    EXPECT_TRUE(std::equal(narrow.data<float>(), narrow.data<float>() + narrow.numel(),
                           y_wide.slice(n, n + 1).data<float>()));
  }
}

TEST_P(EveryRecurrent, both_layouts_give_the_same_bits) {
  auto net = evaluating();
  net->set_lengths(Lengths(kRagged));
  const Tensor x = input(8);
  EXPECT_TRUE(identical(net->forward(x.to(Layout::channels_first)).to(Layout::channels_last),
                        net->forward(x)));
}

TEST_P(EveryRecurrent, backward_goes_by_the_lengths_of_its_forward) {
  auto net = evaluating();
  net->train();
  net->set_lengths(Lengths(kRagged));
  auto other = net->clone();
  const Tensor x = input(9);
  const Tensor y = net->forward(x);
  other->forward(x);
  other->set_lengths({});
  EXPECT_TRUE(identical(net->backward(y), other->backward(y)));
}

TEST_P(EveryRecurrent, lengths_that_do_not_fit_are_refused_and_change_nothing) {
  auto net = layer();
  const Tensor x = input(10);
  const StateDict before = net->clone()->state_dict();
  const auto message = [&](std::vector<std::int64_t> lengths) {
    net->set_lengths(Lengths(std::move(lengths)));
    return message_of<ShapeError>([&] { net->forward(x); });
  };
  const std::string name = "[" + std::string(net->type()) + "]";
  EXPECT_EQ(message({2, 6, 1, 1, 1, 1}).substr(0, name.size()), name);
  EXPECT_NE(message({2, 6, 1, 1, 1, 1}).find("got 6 for sequence 1"), std::string::npos);
  EXPECT_NE(message({2, -1, 1, 1, 1, 1}).find("got -1 for sequence 1"), std::string::npos);
  EXPECT_NE(message({0, 0, 0, 0, 0, 0}).find("6 sequences without any"), std::string::npos);
  EXPECT_NE(message({3, 3}).find("got 2 lengths"), std::string::npos);
  const StateDict after = net->state_dict();
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(identical(before[i].second, after[i].second)) << before[i].first;
  }
  EXPECT_THROW(net->backward(x), StateError) << "something was saved";
}

TEST(Recurrent, names_are_those_of_pytorch) {
  auto net = make("LSTM", {{"num_layers", std::int64_t{2}}, {"bidirectional", true}});
  std::vector<std::string> names;
  for (const auto& [name, parameter] : net->parameters()) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{
                "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse",
                "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse", "weight_ih_l1",
                "weight_hh_l1", "bias_ih_l1", "bias_hh_l1", "weight_ih_l1_reverse",
                "weight_hh_l1_reverse", "bias_ih_l1_reverse", "bias_hh_l1_reverse"}));
  EXPECT_EQ(net->state_dict()[8].second.shape(), Shape({16, 8}));
}

TEST(Recurrent, other_channels_are_refused_with_the_fix) {
  auto net = make("GRU", {});
  EXPECT_EQ(message_of<ShapeError>([&] {
              net->forward(random_tensor({2, 5, 4}, 1));
            }),
            "[GRU] expected sequences [N, 3, T], got [2, 5, 4] with 5 values per step; let the "
            "layer before give 3");
}

TEST(RecurrentBatchNorm, each_step_has_statistics_of_its_own) {
  LSTM net(3, 4, {.norm = {.kind = RecurrentNormKind::batch, .max_steps = 3}});
  net.initialize(1);
  net.set_lengths(Lengths({2, 5, 1, 2, 5, 3}));
  const Tensor x = random_tensor({6, 3, 5}, 2, DType::f32, Layout::channels_last);
  RecurrentReference reference(net);
  reference.run(sequences_of(x, {2, 5, 1, 2, 5, 3}));
  net.forward(x);
  for (const auto& [name, buffer] : net.buffers()) {
    const testing::Row& wanted = reference.state(name);
    const Tensor actual = buffer->value.to(DType::f64);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(actual.data<double>()[i], wanted[i], 1e-6) << name << "[" << i << "]";
    }
  }
  // Steps 2, 3 and 4 share the last; the state of step 0 is not normalized.
  const auto batches = [&](const std::string& name) {
    for (const auto& [known, buffer] : net.buffers()) {
      if (known != "num_batches_tracked_" + name) continue;
      const auto values = buffer->value.span<std::int64_t>();
      return std::vector<std::int64_t>(values.begin(), values.end());
    }
    return std::vector<std::int64_t>();
  };
  EXPECT_EQ(batches("ih_l0"), (std::vector<std::int64_t>{1, 1, 3}));
  EXPECT_EQ(batches("hh_l0"), (std::vector<std::int64_t>{0, 1, 3}));
}

TEST(RecurrentBatchNorm, begins_with_a_gamma_of_a_tenth_and_leaves_the_cell_alone) {
  LSTM net(3, 4, {.norm = {.kind = RecurrentNormKind::batch}});
  for (const auto& [name, parameter] : net.parameters()) {
    EXPECT_NE(name, "gamma_c_l0");
    if (!name.starts_with("gamma_")) continue;
    EXPECT_TRUE(identical(parameter->value, Tensor::full(parameter->value.shape(), 0.1))) << name;
  }
}

TEST(RecurrentBatchNorm, a_step_that_one_sequence_reaches_uses_and_keeps_the_running_statistics) {
  LSTM net(3, 4, {.norm = {.kind = RecurrentNormKind::batch}});
  net.initialize(1);
  const Tensor x = random_tensor({2, 3, 4}, 2, DType::f32, Layout::channels_last);
  net.forward(x);
  const auto clone = net.clone();
  net.set_lengths(Lengths({4, 2}));
  net.forward(x);
  const StateDict before = clone->state_dict();
  const StateDict after = net.state_dict();
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].first != "running_mean_ih_l0") continue;
    const auto old_mean = before[i].second.span<double>();
    const auto new_mean = after[i].second.span<double>();
    for (std::size_t k = 0; k < 2 * 16; ++k) EXPECT_NE(old_mean[k], new_mean[k]);
    for (std::size_t k = 2 * 16; k < 4 * 16; ++k) EXPECT_EQ(old_mean[k], new_mean[k]);
  }
}

TEST(RecurrentBatchNorm, a_step_that_training_never_saw_uses_the_last_one_that_it_saw) {
  LSTM net(3, 4, {.norm = {.kind = RecurrentNormKind::batch, .max_steps = 64}});
  net.initialize(1);
  net.forward(random_tensor({4, 3, 3}, 2, DType::f32, Layout::channels_last));
  LSTM short_net(3, 4, {.norm = {.kind = RecurrentNormKind::batch, .max_steps = 3}});
  short_net.initialize(1);
  short_net.forward(random_tensor({4, 3, 3}, 2, DType::f32, Layout::channels_last));
  net.eval();
  short_net.eval();
  const Tensor x = random_tensor({2, 3, 9}, 3, DType::f32, Layout::channels_last);
  EXPECT_TRUE(identical(net.forward(x), short_net.forward(x)));
}

TEST(RecurrentBatchNorm, beyond_the_last_step_without_reuse_is_an_error_that_changes_nothing) {
  LSTM net(3, 4, {.norm = {.kind = RecurrentNormKind::batch, .max_steps = 3, .reuse = false}});
  net.initialize(1);
  const StateDict before = net.clone()->state_dict();
  const Tensor x = random_tensor({2, 3, 4}, 2, DType::f32, Layout::channels_last);
  EXPECT_EQ(message_of<ShapeError>([&] { net.forward(x); }),
            "[LSTM] expected sequences of at most 3 steps, for which it keeps statistics, got one "
            "of 4; raise max_steps, or set reuse = true to let the last statistics serve later "
            "steps");
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(identical(before[i].second, net.state_dict()[i].second)) << before[i].first;
  }
  net.set_lengths(Lengths({3, 1}));
  EXPECT_NO_THROW(net.forward(x)) << "the padding is longer, no sequence is";
}

TEST(RecurrentBatchNorm, a_batch_of_one_sequence_is_an_error_in_training_alone) {
  LSTM net(3, 4, {.norm = {.kind = RecurrentNormKind::batch}});
  const Tensor x = random_tensor({2, 3, 4}, 2, DType::f32, Layout::channels_last);
  net.set_lengths(Lengths({4, 0}));
  EXPECT_NE(message_of<ShapeError>([&] { net.forward(x); }).find("two sequences or more"),
            std::string::npos);
  net.eval();
  EXPECT_NO_THROW(net.forward(x));
}

TEST(RecurrentBatchNorm, a_step_that_is_not_finite_stays_out_of_its_running_statistics) {
  LSTM net(3, 4, {.norm = {.kind = RecurrentNormKind::batch}});
  net.initialize(1);
  Tensor x = random_tensor({3, 3, 4}, 2, DType::f32, Layout::channels_last);
  x.data<float>()[2 * 3] = std::nanf("");  // step 2 of the first sequence
  net.forward(x);
  for (const auto& [name, buffer] : net.buffers()) {
    if (name == "num_batches_tracked_ih_l0") {
      const auto counts = buffer->value.span<std::int64_t>().first(4);
      EXPECT_TRUE(std::ranges::equal(counts, std::array<std::int64_t, 4>{1, 1, 0, 1}));
    } else if (name == "num_batches_tracked_hh_l0") {
      const auto counts = buffer->value.span<std::int64_t>().first(4);
      EXPECT_TRUE(std::ranges::equal(counts, std::array<std::int64_t, 4>{0, 1, 1, 0}));
    } else {
      for (const double value : buffer->value.span<double>()) EXPECT_TRUE(std::isfinite(value));
    }
  }
}

TEST(LSTM, says_which_norm_is_inside) {
  LSTM net(3, 4, {.norm = {.kind = RecurrentNormKind::batch, .max_steps = 9}});
  EXPECT_EQ(net.mode_note(), "batch norm of gates, statistics of 0 of 9 steps");
  net.forward(random_tensor({3, 3, 4}, 2));
  EXPECT_EQ(net.mode_note(), "batch norm of gates, statistics of 4 of 9 steps");
  EXPECT_EQ(LSTM(3, 4, {.norm = {.kind = RecurrentNormKind::layer}}).mode_note(),
            "layer norm of gates and cell");
  EXPECT_EQ(LSTM(3, 4).mode_note(), "");
}

TEST(LSTM, an_unknown_norm_is_refused_with_the_nearest) {
  EXPECT_EQ(message_of<UsageError>([] {
              make("LSTM", {{"norm", std::string("bacth")}});
            }),
            "[LSTM] norm is none, batch or layer, not 'bacth'; did you mean 'batch'?");
  EXPECT_NE(message_of<UsageError>([] {
              make("LSTM", {{"max_steps", std::int64_t{3}}});
            }).find("max_steps"),
            std::string::npos)
      << "without batch norm there are no steps to count";
}

}  // namespace
}  // namespace evenkeel::nn
