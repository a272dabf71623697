#include <gtest/gtest.h>

#include "model/support.h"
#include <evenkeel/model/network.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/conv_transpose.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::model {
namespace {

using testing::message_of;
using testing::random_tensor;
using testing::same_bits;

NetworkOptions listed(std::string_view toml, const Shape& input, std::int64_t classes) {
  NetworkOptions options = network_options(parse_config(toml, "net.toml"));
  options.input = input;
  options.classes = classes;
  return options;
}

std::string build_fault(std::string_view toml) {
  return message_of<UsageError>([&] { build_network(listed(toml, {4}, 3), 1); });
}

/// Both trained one step, so that the running statistics count too.
void expect_same_network(nn::Module& a, nn::Module& b, const Tensor& x) {
  EXPECT_TRUE(same_bits(a.forward(x), b.forward(x)));
  a.eval();
  b.eval();
  EXPECT_TRUE(same_bits(a.forward(x), b.forward(x)));
  const auto left = a.state_dict();
  const auto right = b.state_dict();
  ASSERT_EQ(left.size(), right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].first, right[i].first);
    EXPECT_TRUE(same_bits(left[i].second, right[i].second)) << left[i].first;
  }
}

TEST(LayerList, NumbersOfNormalizationsAreSetInAllRowsOrTheSilentOnes) {
  const auto layers = [] {
    return parse_config(R"(
      [[layer]]
      type = "BatchNorm1d"
      num_features = 4
      [[layer]]
      type = "Residual"
      body = [{type = "BatchNorm1d", num_features = 4, eps = 0.5, decay = 0.9},
              {type = "LayerNorm", normalized_shape = 4}, {type = "LSTM", input_size = 4}]
    )",
                        "net.toml")
        .layers;
  };
  const auto said = [](const LayerSpec& row, const char* key) {
    return row.options.contains(key) ? row.options.get(key, -1.0) : -1.0;
  };
  for (const NormRows rows : {NormRows::all, NormRows::silent}) {
    std::vector<LayerSpec> list = layers();
    const std::optional<double> momentum = 0.3;
    set_norm_numbers(list, norm_numbers(0.01, &momentum), rows);
    EXPECT_EQ(said(list[0], "eps"), 0.01);
    EXPECT_EQ(said(list[0], "momentum"), 0.3);
    const std::vector<LayerSpec>& body = list[1].children[0].second;
    EXPECT_EQ(said(body[0], "eps"), rows == NormRows::all ? 0.01 : 0.5);
    EXPECT_EQ(said(body[0], "momentum"), rows == NormRows::all ? 0.3 : -1.0);
    EXPECT_EQ(said(body[0], "decay"), rows == NormRows::all ? -1.0 : 0.9);
    EXPECT_EQ(said(body[1], "eps"), 0.01);
    EXPECT_FALSE(body[1].options.contains("momentum"));
    EXPECT_FALSE(body[2].options.contains("eps"));
  }
}

TEST(LayerList, EqualsTheNetworkWrittenByHand) {
  const auto built = build_network(listed(R"(
    [[layer]]
    type = "Linear"
    in_features = 4
    out_features = 8
    [[layer]]
    type = "BatchNorm1d"
    num_features = 8
    eps = 1e-3
    [[layer]]
    type = "ReLU"
    [[layer]]
    type = "Linear"
    in_features = 8
    out_features = 3
  )",
                                          {4}, 3),
                                   42);
  nn::Sequential hand{nn::Linear(4, 8), nn::BatchNorm1d(8, {.eps = 1e-3}), nn::ReLU(),
                      nn::Linear(8, 3)};
  hand.initialize(42);
  expect_same_network(*built, hand, random_tensor({5, 4}, 1));
}

TEST(LayerList, BuildsNestedContainers) {
  const auto built = build_network(listed(R"(
    [[layer]]
    type = "Residual"
    activation = "relu"
    body = [
      {type = "Conv2d", in_channels = 2, out_channels = 4, kernel_size = 3, padding = 1, bias = false},
      {type = "BatchNorm2d", num_features = 4},
    ]
    shortcut = [{type = "Conv2d", in_channels = 2, out_channels = 4, kernel_size = 1}]
    [[layer]]
    type = "Concat"
    0 = [{type = "ReLU"}]
    1 = [{type = "Sequential", body = [{type = "Tanh"}]}]
    [[layer]]
    type = "GlobalAvgPool"
    [[layer]]
    type = "Linear"
    in_features = 8
    out_features = 3
  )",
                                          {2, 5, 5}, 3),
                                   7);
  nn::Sequential body{nn::Conv2d(2, 4, 3, {.padding = 1, .bias = false}), nn::BatchNorm2d(4)};
  nn::Sequential shortcut;
  shortcut.add(nn::Conv2d(2, 4, 1));
  nn::Sequential relu;
  relu.add(nn::ReLU());
  nn::Sequential tanh;
  tanh.add(nn::Tanh());
  nn::Sequential branch;
  branch.add(std::move(tanh));
  nn::Concat concat;
  concat.add(std::move(relu));
  concat.add(std::move(branch));
  nn::Sequential hand;
  hand.add(nn::Residual(std::move(body), std::move(shortcut), ops::ActivationKind::relu))
      .add(std::move(concat))
      .add(nn::GlobalAvgPool())
      .add(nn::Linear(8, 3));
  hand.initialize(7);
  expect_same_network(*built, hand, random_tensor({3, 2, 5, 5}, 1));
}

TEST(LayerList, ALayerWithoutTensorsStandsForABranch) {
  auto skip = std::make_unique<nn::Concat>();
  skip->add(std::make_unique<nn::ReLU>());
  skip->add(nn::to_owned(nn::Sequential{nn::Linear(4, 3)}));
  nn::Sequential hand{nn::Linear(4, 4)};
  hand.add(std::unique_ptr<nn::Module>(std::move(skip)));
  hand.add(nn::Linear(7, 3));
  hand.initialize(1);
  NetworkOptions options = listed("", {4}, 3);
  options.net = "config";
  options.layers = layer_list(hand);
  const auto built = build_network(options, 2);
  built->load_state_dict(hand.state_dict());
  expect_same_network(*built, hand, random_tensor({5, 4}, 1));

  // Its tensors would get other names.
  auto weighted = std::make_unique<nn::Concat>();
  weighted->add(nn::to_owned(nn::Linear(4, 3)));
  nn::Sequential other;
  other.add(std::unique_ptr<nn::Module>(std::move(weighted)));
  EXPECT_NE(message_of<UsageError>([&] { layer_list(other); }).find("no Sequential"),
            std::string::npos);
}

TEST(LayerList, BuildsNetworksOfVolumes) {
  const auto options = listed(R"(
    [[layer]]
    type = "Conv3d"
    in_channels = 2
    out_channels = 4
    kernel_size = [1, 3, 3]
    padding = [0, 1, 1]
    weight_standardization = true
    [[layer]]
    type = "BatchNorm3d"
    num_features = 4
    [[layer]]
    type = "MaxPool3d"
    kernel_size = 2
    [[layer]]
    type = "ConvTranspose3d"
    in_channels = 4
    out_channels = 3
    kernel_size = 2
    stride = [2, 1, 1]
    [[layer]]
    type = "AvgPool3d"
    kernel_size = [2, 1, 3]
    [[layer]]
    type = "GlobalAvgPool"
  )",
                              {2, 4, 5, 6}, 3);
  nn::Sequential hand{
      nn::Conv3d(2, 4, {1, 3, 3}, {.padding = {0, 1, 1}, .weight_standardization = true}),
      nn::BatchNorm3d(4),
      nn::MaxPool3d(2),
      nn::ConvTranspose3d(4, 3, 2, {.stride = {2, 1, 1}}),
      nn::AvgPool3d({2, 1, 3}),
      nn::GlobalAvgPool()};
  hand.initialize(5);
  expect_same_network(*build_network(options, 5), hand, random_tensor({3, 2, 4, 5, 6}, 1));
  EXPECT_TRUE(prefers_channels_last(options));
}

TEST(LayerList, PrefersChannelsLastWithAConvolutionInside) {
  EXPECT_TRUE(prefers_channels_last(
      listed("[[layer]]\ntype = \"Sequential\"\nbody = [{type = \"Conv2d\"}]", {3, 8, 8}, 3)));
  EXPECT_FALSE(prefers_channels_last(listed("[[layer]]\ntype = \"Flatten\"", {3, 8, 8}, 3)));
}

TEST(LayerList, ResidualMayEndWithLeakyReluOfASlope) {
  const auto built = build_network(listed(R"(
    [[layer]]
    type = "Residual"
    activation = "leaky_relu"
    negative_slope = 0.2
    body = [{type = "BatchNorm1d", num_features = 3, in_place = true}, {type = "LeakyReLU"}]
  )",
                                          {3}, 3),
                                   7);
  const auto& residual = dynamic_cast<const nn::Residual&>(built->child(0));
  EXPECT_EQ(residual.activation(), ops::ActivationKind::leaky_relu);
  EXPECT_EQ(residual.slope(), 0.2);
  const nn::Module& norm = built->child(0).child(0).child(0);
  EXPECT_TRUE(dynamic_cast<const nn::BatchNorm&>(norm).settings().in_place);
  EXPECT_NE(build_fault("[[layer]]\ntype = \"Residual\"\nactivation = \"leaky_relu\"\n"
                        "negative_slope = 0\nbody = [{type = \"Tanh\"}]")
                .find("negative_slope above 0"),
            std::string::npos);
}

TEST(LayerList, NamesTheLayerOfAFault) {
  EXPECT_EQ(build_fault("[[layer]]\ntype = \"ReLU\"\n[[layer]]\ntype = \"BatchNorm1D\"\n"),
            "[config] layer 1 (BatchNorm1D): [layer] there is no layer type 'BatchNorm1D'; did you "
            "mean 'BatchNorm1d'?");
  EXPECT_NE(build_fault("[[layer]]\ntype = \"Linear\"\nin_features = 4\nout_features = 3\nbais = "
                        "true")
                .find("unknown key 'bais'; did you mean 'bias'?"),
            std::string::npos);
  EXPECT_NE(build_fault("[[layer]]\ntype = \"Residual\"").find("needs layers: body"),
            std::string::npos);
  EXPECT_NE(build_fault("[[layer]]\ntype = \"Residual\"\nbody = []\nactivation = \"gelu\"")
                .find("not 'gelu'"),
            std::string::npos);
  EXPECT_NE(build_fault("[[layer]]\ntype = \"Residual\"\nbody = []\nshortcat = [{type=\"ReLU\"}]")
                .find("did you mean 'shortcut'?"),
            std::string::npos);
  EXPECT_NE(build_fault("[[layer]]\ntype = \"ReLU\"\nbody = [{type = \"ReLU\"}]")
                .find("takes no layers 'body'"),
            std::string::npos);
  EXPECT_NE(build_fault("[[layer]]\ntype = \"Concat\"").find("needs branches"), std::string::npos);
  EXPECT_NE(build_fault("net = \"config\"").find("needs layers"), std::string::npos);
}

TEST(LayerList, NamesTheLayerThatDoesNotFit) {
  const std::string toml = "[[layer]]\ntype = \"Linear\"\nin_features = 5\nout_features = 3\n";
  EXPECT_NE(
      message_of<ShapeError>([&] { build_network(listed(toml, {4}, 3), 1); }).find("Linear 0"),
      std::string::npos);
  EXPECT_EQ(message_of<ShapeError>([&] { build_network(listed(toml, {5}, 10), 1); }),
            "[net] the network turns samples of shape [5] into [3], but there are 10 classes; let "
            "its last layer give 10 values");
}

}  // namespace
}  // namespace evenkeel::model
