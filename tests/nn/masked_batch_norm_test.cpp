// Batch norm of padded sequences.
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
using testing::message_of;
using testing::normal_tensor;
using testing::NormStep;
using testing::random_tensor;
using testing::Snapshot;
using testing::value_at;

constexpr Layout kLayouts[] = {Layout::channels_first, Layout::channels_last};
using Valid = std::function<bool(std::int64_t n, std::int64_t t)>;

Valid within(std::vector<std::int64_t> lengths) {
  return [lengths](std::int64_t n, std::int64_t t) {
    return t < lengths[static_cast<std::size_t>(n)];
  };
}

Tensor mask_of(std::int64_t n, std::int64_t steps, const Valid& valid) {
  Tensor mask = Tensor::zeros({n, steps}, DType::u8);
  for (std::int64_t i = 0; i < n * steps; ++i) {
    mask.data<std::uint8_t>()[i] = valid(i / steps, i % steps) ? 1 : 0;
  }
  return mask;
}

/// The valid steps one after another, [M, C].
Tensor packed(const Tensor& x, const Valid& valid) {
  std::vector<float> values;
  std::int64_t rows = 0;
  for (std::int64_t n = 0; n < x.dim(0); ++n) {
    for (std::int64_t t = 0; t < x.dim(2); ++t) {
      if (!valid(n, t)) continue;
      ++rows;
      for (std::int64_t c = 0; c < x.dim(1); ++c) {
        values.push_back(static_cast<float>(value_at(x, n, c, t)));
      }
    }
  }
  return Tensor::from<float>(values, {rows, x.dim(1)});
}

/// Whatever is not valid becomes `value`.
Tensor padded_with(const Tensor& x, const Valid& valid, float value) {
  Tensor result = x.clone();
  for (std::int64_t n = 0; n < x.dim(0); ++n) {
    for (std::int64_t t = 0; t < x.dim(2); ++t) {
      for (std::int64_t c = 0; c < x.dim(1); ++c) {
        if (!valid(n, t)) result.data<float>()[testing::element(x, n, c, t)] = value;
      }
    }
  }
  return result;
}

/// +0 where padding is.
bool zero_where_padded(const Tensor& x, const Valid& valid) {
  return identical(x, padded_with(x, valid, 0.F));
}

const std::vector<std::int64_t> kLengths{3, 9, 0, 1, 7};
const Shape kShape{5, 4, 9};

TEST(MaskedBatchNorm, equals_the_packed_values_in_all_bits) {
  for (const Layout layout : kLayouts) {
    const Valid valid = within(kLengths);
    const Tensor x = normal_tensor(kShape, 1, 3, 2, layout);
    const Tensor dy = normal_tensor(kShape, 2, 0, 1, layout);
    BatchNorm1d masked(4);
    BatchNorm1d plain(4);
    disturb_affine(masked);
    disturb_affine(plain);
    masked.set_lengths(Lengths(kLengths));
    const NormStep step(masked, x, dy);
    NormStep expected(plain, packed(x, valid), packed(dy, valid));
    EXPECT_TRUE(zero_where_padded(step.y, valid));
    EXPECT_TRUE(zero_where_padded(step.dx, valid));
    EXPECT_TRUE(identical(packed(step.y, valid), expected.y));
    EXPECT_TRUE(identical(packed(step.dx, valid), expected.dx));
    expected.y = step.y;
    expected.dx = step.dx;
    EXPECT_EQ(step.difference(expected), "");
    EXPECT_EQ(step.y.layout(), layout);
    EXPECT_EQ(step.dx.layout(), layout);
  }
}

TEST(MaskedBatchNorm, padding_may_hold_anything) {
  const Valid valid = within(kLengths);
  const Tensor x = normal_tensor(kShape, 1, 3, 2);
  const Tensor dy = normal_tensor(kShape, 2, 0, 1);
  const auto step = [&](float value) {
    BatchNorm1d masked(4);
    masked.set_lengths(Lengths(kLengths));
    return NormStep(masked, padded_with(x, valid, value), padded_with(dy, valid, value));
  };
  const NormStep expected = step(0);
  for (const float value : {1e30F, INFINITY, NAN}) {
    EXPECT_EQ(step(value).difference(expected), "") << value;
  }
}

TEST(MaskedBatchNorm, a_mask_may_have_holes_and_takes_the_place_of_lengths) {
  for (const Layout layout : kLayouts) {
    const Valid valid = [](std::int64_t n, std::int64_t t) { return (3 * n + 2 * t) % 5 < 2; };
    const Tensor x = normal_tensor(kShape, 1, 3, 2, layout);
    const Tensor dy = normal_tensor(kShape, 2, 0, 1, layout);
    BatchNorm1d masked(4);
    masked.set_lengths(Lengths(kLengths));
    masked.set_mask(mask_of(5, 9, valid));
    BatchNorm1d plain(4);
    const NormStep step(masked, x, dy);
    const NormStep expected(plain, packed(x, valid), packed(dy, valid));
    EXPECT_TRUE(zero_where_padded(step.y, valid));
    EXPECT_TRUE(identical(packed(step.y, valid), expected.y));
    EXPECT_TRUE(identical(packed(step.dx, valid), expected.dx));

    masked.set_mask({});
    BatchNorm1d by_lengths(4);
    by_lengths.load_state_dict(masked.state_dict());
    by_lengths.set_lengths(Lengths(kLengths));
    EXPECT_EQ(NormStep(masked, x, dy).difference(NormStep(by_lengths, x, dy)), "");
  }
}

TEST(MaskedBatchNorm, a_mask_of_the_lengths_does_what_they_do) {
  const Tensor x = normal_tensor(kShape, 1, 3, 2);
  const Tensor dy = normal_tensor(kShape, 2, 0, 1);
  BatchNorm1d left(4);
  BatchNorm1d right(4);
  left.set_lengths(Lengths(kLengths));
  right.set_mask(mask_of(5, 9, within(kLengths)));
  EXPECT_EQ(NormStep(left, x, dy).difference(NormStep(right, x, dy)), "");
}

TEST(MaskedBatchNorm, without_padding_has_the_bits_of_no_lengths_at_all) {
  for (const Layout layout : kLayouts) {
    const Tensor x = normal_tensor(kShape, 1, 3, 2, layout);
    const Tensor dy = normal_tensor(kShape, 2, 0, 1, layout);
    BatchNorm1d plain(4);
    BatchNorm1d masked(4);
    masked.set_lengths(Lengths(std::vector<std::int64_t>(5, 9)));
    EXPECT_EQ(NormStep(masked, x, dy).difference(NormStep(plain, x, dy)), "");
  }
}

TEST(MaskedBatchNorm, eval_mode_normalizes_the_valid_steps_alone) {
  for (const Layout layout : kLayouts) {
    const Valid valid = within(kLengths);
    const Tensor x = padded_with(normal_tensor(kShape, 1, 3, 2, layout), valid, NAN);
    BatchNorm1d masked(4);
    masked.forward(normal_tensor(kShape, 3, 1, 2));
    masked.eval();
    auto plain = masked.clone();
    masked.set_lengths(Lengths(kLengths));
    const Tensor y = masked.forward(x);
    EXPECT_TRUE(zero_where_padded(y, valid));
    EXPECT_TRUE(identical(packed(y, valid), plain->forward(packed(x, valid))));
  }
}

TEST(MaskedBatchNorm, lengths_reach_it_in_a_network_and_say_nothing_of_pooled_values) {
  Sequential net{BatchNorm1d(4), MeanOverTime(), BatchNorm1d(4)};
  const Valid valid = within(kLengths);
  std::vector<std::int64_t> lengths = kLengths;
  lengths[2] = 2;
  net.set_lengths(Lengths(lengths));
  const Tensor x = normal_tensor(kShape, 1, 3, 2);
  const Tensor y = net.forward(x);
  const Tensor other = net.clone()->forward(padded_with(x, within(lengths), 7));
  EXPECT_TRUE(identical(y, other));
  EXPECT_EQ(net.backward(y).shape(), kShape);
}

TEST(MaskedBatchNorm, stays_within_the_bar_at_any_mean) {
  const std::vector<std::int64_t> lengths{150, 3, 90, 0, 77, 149};
  for (const double mean : {0.0, 1e4, 1e6}) {
    for (const Layout layout : kLayouts) {
      SCOPED_TRACE(fmt::format("{} {}", mean, evenkeel::name_of(layout)));
      const Tensor x = normal_tensor({6, 5, 150}, 1, mean, 1, layout);
      const Tensor dy = normal_tensor({6, 5, 150}, 2, 0, 1, layout);
      BatchNorm1d masked(5);
      masked.set_lengths(Lengths(lengths));
      auto exact = exact_norm(5, {0, 6});
      exact.valid = within(lengths);
      const auto errors = testing::NormComparison(masked, x, dy, exact).errors();
      EXPECT_LE(errors.y, testing::kBarOfY);
      EXPECT_LE(errors.dx, testing::kBarOfGradients);
      EXPECT_LE(errors.dgamma, testing::kBarOfGradients);
      EXPECT_LE(errors.dbeta, testing::kBarOfGradients);
    }
  }
}

TEST(MaskedBatchNorm, has_the_same_bits_for_any_number_of_threads) {
  const int threads = max_threads();
  std::vector<std::int64_t> lengths;
  for (std::int64_t n = 0; n < 40; ++n) lengths.push_back(n * 13 % 61);
  for (const Layout layout : kLayouts) {
    const Tensor x = normal_tensor({40, 70, 60}, 1, 3, 2, layout);
    const Tensor dy = normal_tensor({40, 70, 60}, 2, 0, 1, layout);
    const auto step = [&](int count) {
      set_max_threads(count);
      BatchNorm1d masked(70);
      masked.set_lengths(Lengths(lengths));
      return NormStep(masked, x, dy);
    };
    const NormStep expected = step(1);
    for (const int count : {2, 3, 8}) EXPECT_EQ(step(count).difference(expected), "") << count;
  }
  set_max_threads(threads);
}

TEST(MaskedBatchNorm, has_the_same_bits_fused_and_not) {
  const auto make = [](bool leaky) {
    Sequential body{BatchNorm1d(4)};
    if (leaky) {
      body.add(LeakyReLU(0.2));
    } else {
      body.add(ReLU());
    }
    body.add(Conv1d(4, 4, 3, {.padding = 1})).add(BatchNorm1d(4));
    auto net = std::make_unique<Sequential>();
    net->add(Residual(std::move(body)));
    net->initialize(4);
    net->set_lengths(Lengths(kLengths));
    return net;
  };
  for (const bool leaky : {false, true}) {
    for (const Layout layout : kLayouts) {
      const Tensor x = normal_tensor(kShape, 1, 0.3, 2, layout);
      const Tensor dy = normal_tensor(kShape, 2, 0, 1, layout);
      auto fused = make(leaky);
      auto plain = make(leaky);
      ASSERT_EQ(fuse(*fused), 2);
      EXPECT_EQ(NormStep(*fused, x, dy).difference(NormStep(*plain, x, dy)), "");
    }
  }
}

TEST(MaskedBatchNorm, gradients_are_those_of_central_differences) {
  for (const Layout layout : kLayouts) {
    for (const bool training : {true, false}) {
      for (const std::int64_t ghost_size : {0, 2}) {
        BatchNorm1d masked(2, {.ghost_size = ghost_size});
        masked.train(training);
        disturb_affine(masked);
        masked.set_lengths(Lengths({4, 1, 0, 3, 2}));
        const auto report =
            testing::check_gradients(masked, testing::separated_tensor({5, 2, 4}, 4, layout));
        EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
      }
    }
  }
}

TEST(MaskedBatchNorm, virtual_batches_are_of_samples_and_of_two_valid_steps_or_more) {
  // Samples 0 and 1, then 2 to 5, as 2 and 3 have one step together; 6 alone has one step again.
  const std::vector<std::int64_t> lengths{3, 4, 1, 0, 2, 5, 1};
  const Valid valid = within(lengths);
  const Tensor x = normal_tensor({7, 3, 5}, 1, 3, 2);
  BatchNorm1d ghost(3, {.ghost_size = 2});
  ghost.set_lengths(Lengths(lengths));
  const Tensor y = packed(ghost.forward(x), valid);
  const Tensor rows = packed(x, valid);
  BatchNorm1d plain(3);
  EXPECT_TRUE(identical(y.slice(0, 7), plain.forward(rows.slice(0, 7))));
  EXPECT_TRUE(identical(y.slice(7, 16), plain.forward(rows.slice(7, 16))));
  EXPECT_EQ(ghost.state_dict().back().second.item(), 2);
}

TEST(MaskedBatchNorm, is_renormalized_as_the_packed_values_are) {
  const Valid valid = within(kLengths);
  const Tensor x = normal_tensor(kShape, 1, 3, 2);
  const RenormOptions limits{.r_max = 3, .d_max = 5, .ramp_begin = 0, .ramp_end = 0};
  BatchRenorm1d masked(4, {}, limits);
  BatchRenorm1d plain(4, {}, limits);
  masked.set_lengths(Lengths(kLengths));
  const Tensor y = masked.forward(x);
  EXPECT_TRUE(identical(packed(y, valid), plain.forward(packed(x, valid))));
  const Tensor dx = masked.backward(x);
  EXPECT_TRUE(identical(packed(dx, valid), plain.backward(packed(x, valid))));
}

TEST(MaskedBatchNorm, lengths_that_do_not_fit_are_errors_that_change_nothing) {
  Sequential net{BatchNorm1d(4)};
  const Tensor x = random_tensor(kShape, 1);
  const Snapshot before(net);
  for (const auto& [lengths, part] : {std::pair<std::vector<std::int64_t>, const char*>{
                                          {3, 9, 10, 1, 7}, "got 10 for sequence 2"},
                                      {{3, 9, -1, 1, 7}, "got -1 for sequence 2"},
                                      {{0, 0, 0, 0, 0}, "at least one step"},
                                      {{3, 9, 1, 7}, "got 4 lengths"}}) {
    net.set_lengths(Lengths(lengths));
    const std::string message = message_of<ShapeError>([&] { net.forward(x); });
    EXPECT_NE(message.find("[BatchNorm1d 0]"), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(before.difference(), "");
    EXPECT_THROW(net[0].expect_forward(), StateError);
  }
}

TEST(MaskedBatchNorm, a_mask_that_does_not_fit_is_an_error_that_changes_nothing) {
  BatchNorm1d layer(4);
  const Tensor x = random_tensor(kShape, 1);
  const Snapshot before(layer);
  layer.set_mask(Tensor::full({5, 8}, 1, DType::u8));
  EXPECT_EQ(message_of<ShapeError>([&] { layer.forward(x); }),
            "[BatchNorm1d] expected a mask [5, 9] of u8 for [5, 4, 9], got [5, 8] of u8; set_mask "
            "for every batch, and no layer before may change the steps");
  layer.set_mask(Tensor::full({5, 9}, 1, DType::f32));
  EXPECT_THROW(layer.forward(x), ShapeError);
  layer.set_mask(Tensor::zeros({5, 9}, DType::u8));
  EXPECT_NE(message_of<ShapeError>([&] { layer.forward(x); }).find("at least one step"),
            std::string::npos);
  EXPECT_EQ(before.difference(), "");
}

TEST(MaskedBatchNorm, one_valid_step_is_an_error_that_changes_nothing) {
  BatchNorm1d layer(4);
  layer.set_lengths(Lengths({0, 1, 0, 0, 0}));
  const Snapshot before(layer);
  EXPECT_THROW(layer.forward(random_tensor(kShape, 1)), ShapeError);
  EXPECT_EQ(before.difference(), "");
}

TEST(MaskedBatchNorm, memory_that_runs_out_changes_nothing_or_forgets_the_forward) {
  const Tensor x = normal_tensor(kShape, 1, 3, 2);
  BatchNorm1d layer(4, {.ghost_size = 2});
  layer.set_lengths(Lengths(kLengths));
  auto reference = layer.clone();
  const Tensor expected = reference->forward(x);
  const Tensor expected_dx = reference->backward(x);
  Tensor y, dx;
  const Snapshot before(layer);
  EXPECT_GT(testing::fail_each_allocation([&] { y = layer.forward(x); },
                                          [&] {
                                            ASSERT_EQ(before.difference(), "");
                                            ASSERT_THROW(layer.expect_forward(), StateError);
                                          }),
            2);
  EXPECT_TRUE(identical(y, expected));
  const Snapshot after(layer);
  EXPECT_GT(testing::fail_each_allocation([&] { dx = layer.backward(x); },
                                          [&] { ASSERT_EQ(after.difference(), ""); }),
            2);
  EXPECT_TRUE(identical(dx, expected_dx));
}

}  // namespace
}  // namespace evenkeel::nn
