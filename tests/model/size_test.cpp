// What a network would hold is known before memory is taken, for every layer and network there is.
#include <gtest/gtest.h>

#include "model/layer_size.h"
#include "model/network_size.h"
#include "model/support.h"
#include <evenkeel/io/safetensors.h>
#include <evenkeel/model/checksum.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/nn/layer_table.h>

namespace evenkeel::model {
namespace {

using testing::message_of;

constexpr std::int64_t kHuge = std::int64_t{1} << 31;

std::uint64_t values_of(nn::Module& module) {
  std::uint64_t values = 0;
  for (const auto& [name, tensor] : module.state_dict(/*exported_only=*/true)) {
    values += static_cast<std::uint64_t>(tensor.numel());
  }
  return values;
}

TEST(Size, OfEveryLayerIsAtLeastWhatIsCounted) {
  for (const nn::LayerRow& row : nn::layer_table()) {
    for (const nn::LayerSample& sample : row.samples) {
      const std::uint64_t least = least_values(LayerSpec{row.name, sample.options, {}});
      const std::uint64_t held = values_of(*nn::make_layer(row.name, sample.options));
      EXPECT_LE(least, held) << row.name;
      EXPECT_LE(held, 4 * least + 1) << row.name << ": it needs a row in layer_size.cpp";
    }
  }
}

TEST(Size, OfEveryNamedNetworkIsAtLeastWhatIsCounted) {
  for (const NetworkInfo& info : networks()) {
    if (info.name == "resnet50") continue;  // 24 million values; its weights are counted below
    for (const char* norm : {"batch", "none"}) {
      NetworkOptions options;
      options.net = info.name;
      options.norm = norm;
      options.input = info.input == NetworkInput::any ? Shape{40} : Shape{3, 32, 32};
      options.classes = 7;
      const std::uint64_t least = least_values(options);
      const std::uint64_t held = values_of(*build_network(options, 1));
      EXPECT_LE(least, held) << info.name << " " << norm;
      EXPECT_LE(held, least + least / 4) << info.name << " " << norm;
    }
  }
}

TEST(Size, OfResNet50IsThatOfTheLiterature) {
  NetworkOptions options;
  options.net = "resnet50";
  options.input = Shape{3, 32, 32};
  options.classes = 1000;
  EXPECT_EQ(least_values(options), 25'502'912u - 3 * 64 * 49 + 3 * 64 * 9);
}

TEST(Size, OfAProductThatDoesNotFitIsTheLargestNumber) {
  const std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(saturating_product(std::uint64_t{1} << 32, std::uint64_t{1} << 32), largest);
  EXPECT_EQ(saturating_product(0, largest), 0u);
  EXPECT_EQ(saturating_sum(largest, 1), largest);
  const LayerSpec conv{
      "Conv2d", {{"in_channels", kHuge}, {"out_channels", kHuge}, {"kernel_size", kHuge}}, {}};
  EXPECT_EQ(least_values(conv), largest);
}

TEST(Size, OfANetworkThatNobodyMeansIsRefused) {
  NetworkOptions options;
  options.net = "mlp";
  options.input = Shape{kHuge};
  EXPECT_NE(message_of<UsageError>([&] { build_network(options, 1); }).find("smaller"),
            std::string::npos);
  options.input = Shape{4};
  options.classes = kHuge;
  EXPECT_THROW(build_network(options, 1), UsageError);
  options.net = "config";
  options.classes = 2;
  options.layers = {
      {"Residual",
       {},
       {{"body", {{"Linear", {{"in_features", kHuge}, {"out_features", kHuge}}, {}}}}}}};
  EXPECT_THROW(build_network(options, 1), UsageError);
}

/// Weights of a small network whose file describes `toml` instead.
void write_described(const std::filesystem::path& path, const std::string& toml) {
  const NetworkOptions options = network_options(parse_config("input = [3]\nclasses = 2\n", "x"));
  save_network(path, *build_network(options, 1), options, {});
  io::TensorFile file = io::read_safetensors(path);
  file.metadata["evenkeel.network"] = toml;
  add_checksum(file);
  io::write_safetensors(path, file);
}

TEST(Size, ThatAFileCannotFillIsRefused) {
  const testing::TemporaryFolder folder;
  for (const char* toml :
       {"net = \"mlp\"\ninput = [4000]\n", "net = \"mlp\"\ninput = [3]\nclasses = 1000000\n",
        "net = \"resnet50\"\ninput = [3, 32, 32]\n",
        "input = [3]\nclasses = 2\n[[layer]]\ntype = \"BatchNorm1d\"\nnum_features = "
        "2000000000\n"}) {
    write_described(folder / "net.safetensors", toml);
    const std::string message =
        message_of<IoError>([&] { load_network(folder / "net.safetensors"); });
    EXPECT_NE(message.find("values or more, but holds 35332"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace evenkeel::model
