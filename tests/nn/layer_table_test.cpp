// What every layer of the table must do; a new row is tested without a new test.
#include <functional>

#include <gtest/gtest.h>

#include "nn/gradient_check.h"
#include <evenkeel/nn/describe.h>
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

using testing::identical;
using testing::max_difference;
using testing::random_tensor;
using testing::separated_tensor;

struct Case {
  const LayerRow* row;
  const LayerSample* sample;
  std::size_t number;
  Layout layout;

  std::unique_ptr<Module> make() const {
    auto layer = make_layer(row->name, sample->options);
    layer->initialize(3);
    return layer;
  }
  Tensor input(std::uint64_t seed = 1) const {
    return separated_tensor(sample->input, seed, layout);
  }
};

/// Every sample of the row, in both layouts where there are positions.
std::vector<Case> cases_of(const LayerRow& row) {
  std::vector<Case> cases;
  for (std::size_t i = 0; i < row.samples.size(); ++i) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      if (layout == Layout::channels_last && row.samples[i].input.rank() < 3) continue;
      cases.push_back({&row, &row.samples[i], i, layout});
    }
  }
  return cases;
}

StateDict copy_of(const StateDict& state) {
  StateDict result;
  for (const auto& [name, tensor] : state) result.emplace_back(name, tensor.clone());
  return result;
}

bool same_state(Module& a, Module& b) {
  const StateDict left = a.state_dict();
  const StateDict right = b.state_dict();
  return std::ranges::equal(left, right, [](const auto& x, const auto& y) {
    return x.first == y.first && identical(x.second, y.second);
  });
}

/// As an optimizer step and running statistics would leave it.
void disturb(Module& module) {
  std::uint64_t seed = 40;
  for (const auto& [name, parameter] : module.parameters()) {
    parameter->value.copy_from(random_tensor(parameter->value.shape(), ++seed));
  }
  for (const auto& [name, buffer] : module.buffers()) {
    if (buffer->value.dtype() == DType::i64) {
      buffer->value.fill(static_cast<double>(++seed));
    } else {
      buffer->value.fill(0.5 + static_cast<double>(++seed) / 64);
    }
  }
}

class EveryLayer : public ::testing::TestWithParam<std::string> {
 protected:
  /// Runs `check` for every case of the layer.
  void for_each_case(const std::function<void(const Case&)>& check) {
    for (const LayerRow& row : layer_table()) {
      if (row.name != GetParam()) continue;
      for (const Case& one : cases_of(row)) {
        SCOPED_TRACE(fmt::format("sample {}, {}", one.number, evenkeel::name_of(one.layout)));
        check(one);
      }
    }
  }
};

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const LayerRow& row : layer_table()) names.push_back(row.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Table, EveryLayer, ::testing::ValuesIn(all_names()),
                         [](const auto& one) { return one.param; });

TEST_P(EveryLayer, gradients_are_those_of_central_differences) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    const auto report = testing::check_gradients(*layer, one.input());
    EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
  });
}

TEST_P(EveryLayer, gradients_in_eval_mode_are_those_of_central_differences) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    disturb(*layer);
    layer->eval();
    const auto report = testing::check_gradients(*layer, one.input());
    EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
  });
}

TEST_P(EveryLayer, single_precision_agrees_with_double) {
  for_each_case([](const Case& one) {
    auto single = one.make();
    auto wide = single->clone();
    wide->to(DType::f64);
    const Tensor x = one.input();
    const Tensor y = wide->forward(x);
    const Tensor y_single = single->forward(x.to(DType::f32));
    ASSERT_EQ(y_single.dtype(), DType::f32);
    EXPECT_LE(max_difference(y, y_single), 1e-5);
    const Tensor dy = random_tensor(y.shape(), 2, DType::f64, y.layout());
    EXPECT_LE(max_difference(wide->backward(dy), single->backward(dy.to(DType::f32))), 1e-5);
    const auto expected = wide->parameters();
    const auto actual = single->parameters();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LE(max_difference(expected[i].parameter->grad, actual[i].parameter->grad), 1e-4)
          << expected[i].name;
    }
  });
}

/// The largest difference over the largest value of the second.
double relative_difference(const Tensor& a, const Tensor& b) {
  const Tensor zero = Tensor::zeros(b.shape(), b.dtype(), b.layout());
  return max_difference(a, b) / std::max(1e-3, max_difference(b, zero));
}

TEST_P(EveryLayer, bf16_agrees_with_single_precision) {
  // Activations have 8 bits, and so have the weights of linear and convolutional layers in it; a
  // result of the layer goes through several roundings where it consists of several layers.
  static constexpr double kTolerance = 0.04;
  for_each_case([](const Case& one) {
    auto single = one.make();
    auto half = single->clone();
    const Tensor x = one.input().to(DType::bf16);
    const Tensor y = single->forward(x.to(DType::f32));
    const Tensor y_half = half->forward(x);
    ASSERT_EQ(y_half.dtype(), DType::bf16);
    EXPECT_LE(relative_difference(y_half, y), kTolerance);
    const Tensor dy = random_tensor(y.shape(), 2, DType::bf16, y.layout());
    const Tensor dx = single->backward(dy.to(DType::f32));
    const Tensor dx_half = half->backward(dy);
    ASSERT_EQ(dx_half.dtype(), DType::bf16);
    EXPECT_EQ(dx_half.layout(), x.layout());
    EXPECT_LE(relative_difference(dx_half, dx), kTolerance);
    const auto expected = single->parameters();
    const auto actual = half->parameters();
    double largest = 0;  // of all: the gradient of a bias before batch norm is nothing but rounding
    for (const auto& [name, parameter] : expected) {
      const Tensor zero = Tensor::zeros(parameter->grad.shape());
      largest = std::max(largest, max_difference(parameter->grad, zero));
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(actual[i].parameter->grad.dtype(), DType::f32);
      EXPECT_LE(max_difference(actual[i].parameter->grad, expected[i].parameter->grad),
                kTolerance * largest)
          << expected[i].name;
    }
    const double of_statistics = half->child_count() > 0 ? kTolerance : 1e-6;
    for (std::size_t i = 0; i < single->buffers().size(); ++i) {
      const Tensor& wanted = single->buffers()[i].buffer->value;
      if (wanted.dtype() != DType::f64) continue;
      EXPECT_LE(relative_difference(half->buffers()[i].buffer->value, wanted), of_statistics)
          << single->buffers()[i].name;
    }
  });
}

TEST_P(EveryLayer, output_has_the_shape_it_announces) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    const Tensor x = one.input().to(DType::f32);
    const Tensor y = layer->forward(x);
    EXPECT_EQ(y.shape(), layer->output_shape(x.shape()));
    if (y.rank() > 2) {
      EXPECT_EQ(y.layout(), x.layout());
    }
  });
}

TEST_P(EveryLayer, clone_computes_the_same_and_is_independent) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    disturb(*layer);
    auto copy = layer->clone();
    ASSERT_TRUE(same_state(*layer, *copy));
    const Tensor x = one.input().to(DType::f32);
    EXPECT_TRUE(identical(layer->forward(x), copy->forward(x)));
    const StateDict before = copy_of(copy->state_dict());
    disturb(*layer);
    for (const auto& [name, parameter] : layer->parameters()) parameter->value.fill(7);
    layer->forward(x);
    const StateDict after = copy->state_dict();
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_TRUE(identical(before[i].second, after[i].second)) << before[i].first;
    }
  });
}

TEST_P(EveryLayer, clone_has_nothing_saved_for_backward) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    const Tensor x = one.input().to(DType::f32);
    const Tensor y = layer->forward(x);
    auto copy = layer->clone();
    EXPECT_THROW(copy->backward(y), StateError);
    EXPECT_NO_THROW(layer->backward(y));
  });
}

TEST_P(EveryLayer, state_dict_round_trip_restores_state_and_outputs) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    disturb(*layer);
    const StateDict state = copy_of(layer->state_dict());
    auto other = make_layer(one.row->name, one.sample->options);
    other->load_state_dict(state);
    EXPECT_TRUE(same_state(*layer, *other));
    const Tensor x = one.input().to(DType::f32);
    for (const bool training : {true, false}) {
      layer->train(training);
      other->train(training);
      EXPECT_TRUE(identical(layer->forward(x), other->forward(x)));
    }
  });
}

TEST_P(EveryLayer, eval_changes_no_state_and_saves_nothing) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    layer->eval();
    EXPECT_FALSE(layer->training());
    auto before = layer->clone();
    const Tensor x = one.input().to(DType::f32);
    const Tensor y = layer->forward(x);
    EXPECT_TRUE(identical(y, layer->forward(x)));
    EXPECT_TRUE(same_state(*before, *layer));
    EXPECT_THROW(layer->backward(y), StateError);
    layer->train();
    EXPECT_TRUE(layer->training());
    layer->forward(x);
    EXPECT_NO_THROW(layer->backward(y));
  });
}

TEST_P(EveryLayer, backward_without_forward_names_the_layer) {
  for_each_case([](const Case& one) {
    Sequential net;
    net.add(one.make());
    try {
      net[0].backward(one.input());
      FAIL() << "no error";
    } catch (const StateError& error) {
      EXPECT_NE(std::string(error.what()).find(one.row->name + " 0"), std::string::npos)
          << error.what();
    }
  });
}

TEST_P(EveryLayer, two_forwards_are_taken_back_in_reverse_order) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    const Tensor first = one.input(1).to(DType::f32);
    const Tensor second = one.input(2).to(DType::f32);
    auto reference_first = layer->clone();
    const Tensor y = reference_first->forward(first);
    auto reference_second = reference_first->clone();
    reference_second->forward(second);
    const Tensor dy = random_tensor(y.shape(), 5, DType::f32, y.layout());

    layer->forward(first);
    layer->forward(second);
    EXPECT_TRUE(identical(layer->backward(dy), reference_second->backward(dy)));
    EXPECT_TRUE(identical(layer->backward(dy), reference_first->backward(dy)));
    EXPECT_THROW(layer->backward(dy), StateError);
  });
}

TEST_P(EveryLayer, clear_saved_forgets_a_forward) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    const Tensor y = layer->forward(one.input().to(DType::f32));
    layer->clear_saved();
    EXPECT_THROW(layer->backward(y), StateError);
  });
}

TEST_P(EveryLayer, parameter_gradients_do_not_depend_on_wanting_the_input_gradient) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    auto without = layer->clone();
    without->set_needs_input_gradient(false);
    const Tensor x = one.input().to(DType::f32);
    const Tensor y = layer->forward(x);
    EXPECT_TRUE(identical(without->forward(x), y));
    layer->backward(y);
    if (!layer->has_parameters()) {
      EXPECT_FALSE(without->needs_backward());
      EXPECT_THROW(without->backward(y), StateError) << "something was saved";
      return;
    }
    without->backward(y);
    const auto expected = layer->parameters();
    const auto actual = without->parameters();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(identical(expected[i].parameter->grad, actual[i].parameter->grad))
          << expected[i].name;
    }
  });
}

TEST_P(EveryLayer, printed_options_build_an_equal_layer) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    auto twin = make_layer(std::string(layer->type()), layer->options());
    EXPECT_EQ(layer->options().values(), twin->options().values());
    twin->load_state_dict(layer->state_dict());
    const Tensor x = one.input().to(DType::f32);
    EXPECT_TRUE(identical(layer->forward(x), twin->forward(x)));
  });
}

TEST_P(EveryLayer, is_described_with_its_type_and_shape) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    EXPECT_EQ(layer->type(), one.row->name);
    EXPECT_FALSE(one.row->help.empty());
    const std::string text = describe(*layer, one.sample->input);
    EXPECT_NE(text.find(one.row->name), std::string::npos) << text;
    EXPECT_NE(text.find(layer->output_shape(one.sample->input).str()), std::string::npos) << text;
    const Options options = layer->options();
    for (const auto& [key, value] : options.values()) {
      EXPECT_NE(text.find(key + "=" + to_string(value)), std::string::npos) << text;
    }
  });
}

TEST_P(EveryLayer, unknown_key_is_refused_by_name) {
  for_each_case([](const Case& one) {
    Options options = one.sample->options;
    options.set("bogus_key", true);
    try {
      make_layer(one.row->name, options);
      FAIL() << "no error";
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find("bogus_key"), std::string::npos) << error.what();
    }
  });
}

TEST_P(EveryLayer, accepts_an_empty_batch_in_eval_mode) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    layer->eval();
    const Shape shape = one.sample->input.with(0, 0);
    const Tensor y = layer->forward(Tensor::empty(shape, DType::f32, one.layout));
    EXPECT_EQ(y.shape(), layer->output_shape(shape));
    EXPECT_EQ(y.dim(0), 0);
  });
}

TEST_P(EveryLayer, gradient_of_another_shape_is_refused) {
  for_each_case([](const Case& one) {
    auto layer = one.make();
    const Tensor y = layer->forward(one.input().to(DType::f32));
    EXPECT_THROW(layer->backward(Tensor::zeros(y.shape().with(0, y.dim(0) + 1))), ShapeError);
  });
}

TEST(LayerTable, names_are_unique) {
  std::vector<std::string> names;
  for (const LayerRow& row : layer_table()) names.push_back(row.name);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(LayerTable, every_row_has_a_sample) {
  for (const LayerRow& row : layer_table()) EXPECT_FALSE(row.samples.empty()) << row.name;
}

TEST(LayerTable, unknown_type_suggests_the_nearest) {
  try {
    make_layer("Conv2D");
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'Conv2d'?"), std::string::npos)
        << error.what();
  }
}

TEST(LayerTable, missing_key_is_named) {
  try {
    make_layer("Linear", {{"in_features", std::int64_t{3}}});
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("'out_features' is missing"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace evenkeel::nn
