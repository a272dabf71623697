#include <cmath>

#include <gtest/gtest.h>

#include "model/support.h"
#include <evenkeel/model/activation_kinds.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::model {
namespace {

using testing::message_of;
using testing::random_tensor;
using testing::same_bits;

NetworkOptions named(const std::string& net, const Shape& input, std::int64_t classes = 10) {
  NetworkOptions options;
  options.net = net;
  options.input = input;
  options.classes = classes;
  return options;
}

Shape usual_input(const std::string& net) {
  return net.rfind("resnet", 0) == 0 ? Shape{3, 32, 32} : Shape{1, 28, 28};
}

Shape batch(std::int64_t n, const Shape& sample) {
  std::vector<std::int64_t> dims{n};
  dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

int count_type(nn::Module& network, std::string_view prefix) {
  int count = 0;
  network.visit([&](const std::string&, nn::Module& module) {
    count += module.type().substr(0, prefix.size()) == prefix ? 1 : 0;
  });
  return count;
}

std::int64_t parameters(const NetworkOptions& options) {
  return build_network(options, 1)->parameter_count();
}

class NamedNetwork : public ::testing::TestWithParam<std::string> {};
/// What holds by construction for resnet50 where it holds for resnet20 is tried on the smaller one.
class SmallNetwork : public ::testing::TestWithParam<std::string> {};

TEST_P(NamedNetwork, MapsItsUsualInputToClasses) {
  const auto network = build_network(named(GetParam(), usual_input(GetParam()), 7), 1);
  EXPECT_EQ(network->output_shape(batch(5, usual_input(GetParam()))), (Shape{5, 7}));
}

TEST_P(NamedNetwork, TrainsAndEvaluatesInBothLayouts) {
  const bool residual = GetParam().rfind("resnet", 0) == 0;
  const Shape input = residual ? Shape{3, 8, 8} : usual_input(GetParam());
  const auto network = build_network(named(GetParam(), input), 1);
  std::vector<Layout> layouts{Layout::channels_last};
  if (GetParam() != "resnet50") layouts.push_back(Layout::channels_first);  // to save time
  for (const Layout layout : layouts) {
    const Tensor x = random_tensor(batch(3, input), 5, layout);
    network->train();
    const Tensor y = network->forward(x);
    network->backward(Tensor::full(y.shape(), 0.1));
    for (const auto& [name, parameter] : network->parameters()) {
      for (const float g : parameter->grad.span<float>()) ASSERT_TRUE(std::isfinite(g)) << name;
    }
    network->eval();
    for (const float v : network->forward(x).span<float>()) ASSERT_TRUE(std::isfinite(v));
  }
}

TEST_P(SmallNetwork, DependsOnTheSeedAlone) {
  const NetworkOptions options = named(GetParam(), usual_input(GetParam()));
  const auto a = build_network(options, 3)->state_dict();
  const auto b = build_network(options, 3)->state_dict();
  const auto c = build_network(options, 4)->state_dict();
  bool differs = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(same_bits(a[i].second, b[i].second)) << a[i].first;
    differs = differs || !same_bits(a[i].second, c[i].second);
  }
  EXPECT_TRUE(differs);
}

TEST_P(SmallNetwork, WithoutNormalizationHasNoneAndKeepsBiases) {
  NetworkOptions options = named(GetParam(), usual_input(GetParam()));
  options.norm = "none";
  const auto network = build_network(options, 1);
  EXPECT_EQ(count_type(*network, "BatchNorm"), 0);
  network->visit([](const std::string& path, nn::Module& module) {
    if (auto* linear = dynamic_cast<nn::Linear*>(&module)) {
      EXPECT_TRUE(linear->has_bias()) << path;
    }
    if (auto* conv = dynamic_cast<nn::Convolution*>(&module)) {
      EXPECT_TRUE(conv->has_bias()) << path;
    }
  });
}

TEST_P(SmallNetwork, NormalizesOnlyTheInputWhereAsked) {
  NetworkOptions options = named(GetParam(), usual_input(GetParam()));
  options.placement = Placement::input;
  EXPECT_EQ(count_type(*build_network(options, 1), "BatchNorm"), 1);
}

TEST_P(SmallNetwork, PassesEpsAndMomentumOn) {
  NetworkOptions options = named(GetParam(), usual_input(GetParam()));
  options.eps = 0.25;
  options.momentum = std::nullopt;
  build_network(options, 1)->visit([](const std::string& path, nn::Module& module) {
    if (auto* norm = dynamic_cast<nn::BatchNorm*>(&module)) {
      EXPECT_EQ(norm->settings().eps, 0.25) << path;
      EXPECT_FALSE(norm->settings().momentum) << path;
    }
  });
}

std::vector<std::string> names_of_networks(bool with_large) {
  std::vector<std::string> names;
  for (const NetworkInfo& network : networks()) {
    if (with_large || network.name != "resnet50") names.push_back(network.name);
  }
  return names;
}

std::string without_dashes(std::string name) {
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Zoo, NamedNetwork, ::testing::ValuesIn(names_of_networks(true)),
                         [](const auto& param) { return without_dashes(param.param); });
INSTANTIATE_TEST_SUITE_P(Zoo, SmallNetwork, ::testing::ValuesIn(names_of_networks(false)),
                         [](const auto& param) { return without_dashes(param.param); });

TEST(Network, ParameterCountsAreTheFieldsOnes) {
  // Weights, and γ and β of each normalized unit.
  EXPECT_EQ(parameters(named("mlp", {1, 28, 28})),
            784 * 256 + 2 * 256 + 256 * 128 + 2 * 128 + 128 * 10 + 10);
  EXPECT_EQ(parameters(named("paper-mlp", {1, 28, 28})),
            784 * 100 + 2 * 100 * 100 + 3 * 200 + 100 * 10 + 10);
  // 269,722 as in the paper, and 2,752 for the two projections.
  EXPECT_EQ(parameters(named("resnet20", {3, 32, 32})), 272'474);
  EXPECT_EQ(parameters(named("resnet50", {3, 224, 224}, 1000)), 25'557'032);
}

TEST(Network, ConvnetBeginsWith64FiltersOf3x3) {
  const auto network = build_network(named("convnet", {3, 32, 32}), 1);
  EXPECT_EQ(network->state_dict()[0].second.shape(), (Shape{64, 3, 3, 3}));
}

TEST(Network, Resnet50KeepsItsResolutionOnSmallImages) {
  const auto small = build_network(named("resnet50", {3, 32, 32}), 1);
  EXPECT_EQ(small->state_dict()[0].second.shape(), (Shape{64, 3, 3, 3}));
  EXPECT_EQ(count_type(*small, "MaxPool"), 0);
  const auto large = build_network(named("resnet50", {3, 64, 64}), 1);
  EXPECT_EQ(large->state_dict()[0].second.shape(), (Shape{64, 3, 7, 7}));
  EXPECT_EQ(count_type(*large, "MaxPool"), 1);
}

TEST(Network, MlpTakesRowsWithoutFlattening) {
  const auto network = build_network(named("mlp", {4}, 3), 1);
  EXPECT_EQ(count_type(*network, "Flatten"), 0);
  EXPECT_EQ(network->output_shape({2, 4}), (Shape{2, 3}));
}

TEST(Network, ConvnetTakesTinyImages) {
  EXPECT_EQ(build_network(named("convnet", {1, 1, 2}, 3), 1)->output_shape({2, 1, 1, 2}),
            (Shape{2, 3}));
}

TEST(Network, EncoderTakesSequencesOfAnyLengthAndImagesInPatches) {
  const auto sequences = build_network(named("encoder-small", {12, 20}, 9), 1);
  EXPECT_EQ(sequences->output_shape({2, 12, 5}), (Shape{2, 9}));
  const auto images = build_network(named("encoder-small", {3, 32, 32}), 1);
  EXPECT_EQ(images->state_dict()[0].second.shape(), (Shape{64, 3, 4, 4}));
  EXPECT_TRUE(contains(
      message_of<ShapeError>([] { build_network(named("encoder-small", {40}), 1); }), "sequences"));
  EXPECT_TRUE(contains(message_of<ShapeError>([] {
                         build_network(named("encoder-small", {1, 30, 28}), 1);
                       }),
                       "multiples of 4"));
}

TEST(Network, EncoderKnowsFourNorms) {
  NetworkOptions options = named("encoder-small", {3, 16, 16});
  for (const auto& [norm, type] :
       {std::pair{"layer", "LayerNorm"}, {"rms", "RMSNorm"}, {"batch", "BatchNorm1d"}}) {
    options.norm = norm;
    EXPECT_EQ(count_type(*build_network(options, 1), type), 7) << norm;  // two a layer, one behind
  }
  options.placement = Placement::after;
  EXPECT_EQ(count_type(*build_network(options, 1), "BatchNorm1d"), 6);
  options.norm = "group:8";
  EXPECT_TRUE(contains(message_of<UsageError>([&] { build_network(options, 1); }),
                       "norm is layer, rms, batch or none, not 'group:8'"));
}

TEST(Network, StandardizesTheWeightsOfConvolutionsWhereAsked) {
  NetworkOptions options = named("resnet20", {3, 8, 8});
  options.norm = "group:8";
  options.weight_standardization = true;
  int standardized = 0;
  build_network(options, 1)->visit([&](const std::string& path, nn::Module& module) {
    const auto* conv = dynamic_cast<nn::Convolution*>(&module);
    if (conv == nullptr) return;
    EXPECT_TRUE(conv->weight_standardization()) << path;
    ++standardized;
  });
  EXPECT_EQ(standardized, 21);
}

TEST(Network, AnotherActivationTakesThePlaceOfReLU) {
  for (const auto& [net, count] :
       {std::pair{"mlp", 2}, {"convnet", 4}, {"resnet20", 10}, {"preact-resnet20", 19}}) {
    NetworkOptions options = named(net, {3, 16, 16});
    EXPECT_EQ(count_type(*build_network(options, 1), "ReLU"), count) << net;
    options.activation = "leaky_relu:0.2";
    const auto network = build_network(options, 1);
    EXPECT_EQ(count_type(*network, "ReLU"), 0) << net;
    EXPECT_EQ(count_type(*network, "LeakyReLU"), count) << net;
    network->visit([](const std::string& path, nn::Module& module) {
      if (const auto* activation = dynamic_cast<nn::Activation*>(&module)) {
        EXPECT_EQ(activation->slope(), 0.2) << path;
      }
      if (const auto* residual = dynamic_cast<nn::Residual*>(&module);
          residual != nullptr && residual->activation()) {
        EXPECT_EQ(residual->activation(), ops::ActivationKind::leaky_relu) << path;
        EXPECT_EQ(residual->slope(), 0.2) << path;
      }
    });
  }
}

TEST(Network, NetworksWithoutReLUAndListsRefuseAnActivation) {
  NetworkOptions options = named("paper-mlp", {3, 16, 16});
  options.activation = "leaky_relu";
  EXPECT_TRUE(contains(message_of<UsageError>([&] { build_network(options, 1); }), "has no ReLU"));
  options.net = "config";
  options.layers = {{"Flatten", {}, {}}};
  EXPECT_TRUE(
      contains(message_of<UsageError>([&] { build_network(options, 1); }), "of named networks"));
}

TEST(Activation, IsAWord) {
  EXPECT_EQ(parse_activation("auto").kind, ops::ActivationKind::relu);
  EXPECT_EQ(parse_activation("leaky_relu").slope, 0.01);
  EXPECT_EQ(parse_activation("leaky_relu:0.25").slope, 0.25);
  EXPECT_TRUE(contains(message_of<UsageError>([] { parse_activation("leaky_rel"); }),
                       "did you mean 'leaky_relu'"));
  for (const char* const text : {"relu:1", "leaky_relu:", "leaky_relu:0", "leaky_relu:-1",
                                 "leaky_relu:inf", "leaky_relu:nan", "leaky_relu:0.1x", "swish"}) {
    EXPECT_THROW(parse_activation(text), UsageError) << text;
  }
}

TEST(Network, NormBeforeReplacesTheBias) {
  const auto network = build_network(named("mlp", {1, 28, 28}), 1);
  EXPECT_FALSE(dynamic_cast<nn::Linear&>(network->child(1)).has_bias());
  EXPECT_EQ(network->child(2).type(), "BatchNorm1d");
  EXPECT_EQ(network->child(3).type(), "ReLU");
}

TEST(Network, NormAfterFollowsTheActivation) {
  NetworkOptions options = named("mlp", {1, 28, 28});
  options.placement = Placement::after;
  const auto network = build_network(options, 1);
  EXPECT_TRUE(dynamic_cast<nn::Linear&>(network->child(1)).has_bias());
  EXPECT_EQ(network->child(2).type(), "ReLU");
  EXPECT_EQ(network->child(3).type(), "BatchNorm1d");
}

TEST(Network, NormAfterFollowsTheActivationOfAResidualSum) {
  NetworkOptions options = named("resnet20", {3, 32, 32});
  options.placement = Placement::after;
  const auto network = build_network(options, 1);
  EXPECT_EQ(network->child(3).type(), "Residual");
  EXPECT_EQ(network->child(4).type(), "BatchNorm2d");
}

TEST(Network, DropoutFollowsEachHiddenBlock) {
  NetworkOptions options = named("mlp", {1, 28, 28});
  options.dropout = 0.25;
  EXPECT_EQ(count_type(*build_network(options, 1), "Dropout"), 2);
  options.net = "resnet20";
  options.input = Shape{3, 32, 32};
  EXPECT_NE(message_of<UsageError>([&] { build_network(options, 1); }).find("no dropout"),
            std::string::npos);
}

/// Root mean square of a weight times √fan: the gain it was drawn with.
double gain_of(const Tensor& weight, std::int64_t fan) {
  double sum = 0;
  for (const float w : weight.span<float>()) sum += static_cast<double>(w) * static_cast<double>(w);
  return std::sqrt(sum / static_cast<double>(weight.numel()) * static_cast<double>(fan));
}

TEST(Network, HiddenWeightsAreDrawnAsTheFieldDoes) {
  const auto mlp = build_network(named("mlp", {1, 28, 28}), 1);
  EXPECT_NEAR(gain_of(mlp->state_dict()[0].second, 784), std::sqrt(2.0), 0.02);
  const auto paper = build_network(named("paper-mlp", {1, 28, 28}), 1);
  EXPECT_NEAR(gain_of(paper->state_dict()[0].second, (784 + 100) / 2), 1.0, 0.02);
  const auto resnet = build_network(named("resnet20", {3, 32, 32}), 1);
  EXPECT_NEAR(gain_of(resnet->state_dict()[0].second, 16 * 9), std::sqrt(2.0), 0.15);
}

TEST(Network, PrefersChannelsLastForImages) {
  EXPECT_TRUE(prefers_channels_last(named("resnet20", {3, 32, 32})));
  EXPECT_FALSE(prefers_channels_last(named("mlp", {1, 28, 28})));
}

TEST(Network, SuggestsTheNearestName) {
  EXPECT_EQ(message_of<UsageError>([] {
              build_network(named("resnet-20", {3, 32, 32}), 1);
            }),
            "[net] there is no network 'resnet-20'; did you mean 'resnet20'?");
}

TEST(Network, ConvolutionsRefuseRows) {
  EXPECT_EQ(message_of<ShapeError>([] { build_network(named("resnet20", {4}), 1); }),
            "[resnet20] expected images [channels, height, width], got samples of shape [4]; use "
            "mlp or paper-mlp");
}

TEST(Network, RefusesOptionsOutOfRange) {
  const auto refuses = [](auto change) {
    NetworkOptions options = named("mlp", {4}, 3);
    change(options);
    EXPECT_THROW(build_network(options, 1), UsageError);
  };
  refuses([](NetworkOptions& o) { o.norm = "median"; });
  refuses([](NetworkOptions& o) { o.norm = "group:0"; });
  refuses([](NetworkOptions& o) { o.norm = "batch:4"; });
  refuses([](NetworkOptions& o) { o.activation = "tanhh"; });
  refuses([](NetworkOptions& o) { o.eps = -1; });
  refuses([](NetworkOptions& o) { o.eps = NAN; });
  refuses([](NetworkOptions& o) { o.momentum = 1.5; });
  refuses([](NetworkOptions& o) { o.dropout = 1; });
  refuses([](NetworkOptions& o) { o.classes = 0; });
}

TEST(NetworkOptions, SurviveAConfig) {
  NetworkOptions options = named("convnet", {3, 20, 24}, 5);
  options.norm = "none";
  options.placement = Placement::after;
  options.activation = "leaky_relu:0.2";
  options.eps = 1e-3;
  options.momentum = std::nullopt;
  options.dropout = 0.1;
  options.weight_standardization = true;
  Config config;
  put_network_options(options, config);
  const NetworkOptions back = network_options(parse_config(to_toml(config), "test"));
  EXPECT_EQ(back.net, "convnet");
  EXPECT_EQ(back.norm, "none");
  EXPECT_EQ(back.placement, Placement::after);
  EXPECT_EQ(back.activation, "leaky_relu:0.2");
  EXPECT_EQ(back.eps, 1e-3);
  EXPECT_FALSE(back.momentum);
  EXPECT_EQ(back.dropout, 0.1);
  EXPECT_TRUE(back.weight_standardization);
  EXPECT_EQ(back.input, (Shape{3, 20, 24}));
  EXPECT_EQ(back.classes, 5);
}

TEST(NetworkOptions, MarkTheirKeysAsKnown) {
  const Config config = parse_config("net = \"mlp\"\nplacment = \"after\"", "test");
  (void)network_options(config);
  EXPECT_EQ(message_of<UsageError>([&] { config.values.reject_unknown("config"); }),
            "[config] unknown key 'placment'; did you mean 'placement'?");
}

TEST(NetworkOptions, RefuseWhatTheyCannotMean) {
  const auto message = [](const char* toml) {
    return message_of<UsageError>([&] { network_options(parse_config(toml, "test")); });
  };
  EXPECT_NE(message("placement = \"befor\"").find("did you mean 'before'?"), std::string::npos);
  EXPECT_NE(message("momentum = \"cumulativ\"").find("cumulative"), std::string::npos);
  EXPECT_NE(message("eps = \"small\"").find("'eps' expects a number"), std::string::npos);
  EXPECT_NE(message("net = \"mlp\"\n[[layer]]\ntype = \"ReLU\"").find("lists layers"),
            std::string::npos);
  EXPECT_NE(message("input = [1,1,1,1,1,1,1,1]").find("at most 7"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel::model
