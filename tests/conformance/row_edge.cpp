// What PyTorch does at the edges of layer, group and instance norm, matched, or different as
// docs/row-norms.md says.
#include <cmath>

#include <gtest/gtest.h>

#include "cases.h"
#include <evenkeel/nn/layers/group_norm.h>
#include <evenkeel/nn/layers/instance_norm.h>
#include <evenkeel/nn/layers/layer_norm.h>

namespace evenkeel::conformance {
namespace {

using nlohmann::json;
using nn::GroupNorm;
using nn::InstanceNorm1d;
using nn::InstanceNorm2d;
using nn::LayerNorm;

/// 0, 1, 2, … in this shape.
Tensor ramp(const Shape& shape) {
  Tensor x = Tensor::empty(shape);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(i);
  return x;
}

template <class E, class F>
void expect_error(F&& f, const std::string& part) {
  try {
    f();
    FAIL() << "accepted";
  } catch (const E& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

void expect_shape(const json& c, nn::Module& layer, const Shape& shape) {
  const Tensor y = layer.forward(ramp(shape));
  EXPECT_EQ(y.shape(), shape);
  EXPECT_EQ(c.at("shape").get<std::vector<std::int64_t>>(),
            std::vector<std::int64_t>(shape.dims().begin(), shape.dims().end()));
}

/// One bad value, which spoils the outputs that the case says and no others.
void expect_confined(const json& c, nn::Module& layer, float bad) {
  const Shape shape(c.at("shape").get<std::vector<std::int64_t>>());
  Tensor x = ramp(shape);
  const auto index = c.at("bad_index").get<std::vector<std::int64_t>>();
  std::int64_t at = 0;
  for (std::size_t i = 0; i < index.size(); ++i) at = at * shape[static_cast<int>(i)] + index[i];
  x.data<float>()[at] = bad;
  const Tensor y = layer.forward(x);
  const auto finite = c.at("finite").get<std::vector<bool>>();
  ASSERT_EQ(finite.size(), static_cast<std::size_t>(y.numel()));
  for (std::size_t i = 0; i < finite.size(); ++i) {
    EXPECT_EQ(std::isfinite(y.span<float>()[i]), finite[i]) << i;
  }
}

float bad_value(const json& c) {
  return c.at("name").get<std::string>().find("nan") != std::string::npos ? NAN : INFINITY;
}

/// PyTorch's float32 kernel is off by 1e-6 here; a row of one value is exactly β.
void run_one_element(const json& c) {
  LayerNorm layer({1});
  const Tensor y = layer.forward(Tensor::from<float>({3, 4}, {2, 1}));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(c.at("y")[i].get<double>(), 0, 1e-5);
    EXPECT_EQ(y.span<float>()[i], 0.0F);
  }
}

/// In a batch of more than one, one value per group is allowed.
void run_one_per_group(const json& c) {
  GroupNorm layer(4, 4);
  const Tensor y = layer.forward(ramp({2, 4}));
  ASSERT_EQ(c.at("y").size(), static_cast<std::size_t>(y.numel()));
  for (std::size_t i = 0; i < c.at("y").size(); ++i) {
    EXPECT_EQ(y.span<float>()[i], c.at("y")[i].get<float>());
  }
}

}  // namespace

const std::vector<std::pair<std::string, EdgeRun>>& row_edges() {
  static const std::vector<std::pair<std::string, EdgeRun>> table{
      {"gn C not divisible by G",
       [](const json&) { expect_error<UsageError>([] { GroupNorm(2, 5); }, "divisible"); }},
      {"gn G=0",
       [](const json&) { expect_error<UsageError>([] { GroupNorm(0, 4); }, "num_groups"); }},
      {"gn one element in all.*",
       [](const json&) {
         GroupNorm layer(1, 1);
         expect_error<ShapeError>([&] { layer.forward(ramp({1, 1, 1})); }, "more than one value");
       }},
      {"gn \\(1,4\\) G=4.*",
       [](const json&) {
         GroupNorm layer(4, 4);
         expect_error<ShapeError>([&] { layer.forward(ramp({1, 4})); }, "more than one value");
       }},
      {"gn \\(2,4\\) G=4.*", run_one_per_group},
      {"gn empty batch.*",
       [](const json& c) {
         GroupNorm layer(2, 4);
         expect_shape(c, layer, {0, 4, 3});
       }},
      {"in1d train \\(2,3,1\\).*",
       [](const json&) {
         InstanceNorm1d layer(3);
         expect_error<ShapeError>(
             [&] {
               layer.forward(ramp({2, 3, 1}));
             },
             "more than one position");
       }},
      {"in2d train \\(2,3,1,2\\)",
       [](const json& c) {
         InstanceNorm2d layer(3);
         expect_shape(c, layer, {2, 3, 1, 2});
       }},
      {"in1d unbatched.*",
       [](const json& c) {
         InstanceNorm1d layer(3);
         expect_shape(c, layer, {3, 5});
       }},
      {"in channel mismatch, affine",
       [](const json&) {
         InstanceNorm1d layer(4, {.affine = true});
         expect_error<ShapeError>([&] { layer.forward(ramp({2, 3, 5})); }, "4 channels");
       }},
      {"ln normalized_shape mismatch",
       [](const json&) {
         LayerNorm layer({4});
         expect_error<ShapeError>([&] { layer.forward(ramp({2, 5})); }, "[4]");
       }},
      {"ln empty normalized_shape",
       [](const json&) {
         expect_error<UsageError>([] { LayerNorm(Shape{}); }, "at least one dimension");
       }},
      {"ln one element.*", run_one_element},
      {"ln empty batch.*",
       [](const json& c) {
         LayerNorm layer({5});
         expect_shape(c, layer, {0, 5});
       }},
      {"ln normalized size 0.*",
       [](const json& c) {
         LayerNorm layer({0});
         expect_shape(c, layer, {2, 0});
       }},
      {"ln (nan|inf) stays.*",
       [](const json& c) {
         LayerNorm layer({4});
         expect_confined(c, layer, bad_value(c));
       }},
      {"gn (nan|inf) stays.*",
       [](const json& c) {
         GroupNorm layer(2, 4);
         expect_confined(c, layer, bad_value(c));
       }},
      {"in (nan|inf) stays.*",
       [](const json& c) {
         InstanceNorm1d layer(2);
         expect_confined(c, layer, bad_value(c));
       }},
  };
  return table;
}

}  // namespace evenkeel::conformance
