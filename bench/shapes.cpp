#include "shapes.h"

#include <algorithm>
#include <array>
#include <tuple>

#include <fmt/format.h>

namespace evenkeel::bench {
namespace {

/// A square map of one network.
struct Row {
  const char* network;
  std::int64_t channels, extent;
  int layers;
};

// He et al. 2016 (https://arxiv.org/abs/1512.03385), table 1, for images of 224², with the stride
// of a bottleneck in its 3×3 convolution: 53 layers.
constexpr std::array kResNet50{
    Row{"ResNet-50", 64, 112, 1}, Row{"ResNet-50", 64, 56, 6},   Row{"ResNet-50", 256, 56, 4},
    Row{"ResNet-50", 128, 56, 1}, Row{"ResNet-50", 128, 28, 7},  Row{"ResNet-50", 512, 28, 5},
    Row{"ResNet-50", 256, 28, 1}, Row{"ResNet-50", 256, 14, 11}, Row{"ResNet-50", 1024, 14, 7},
    Row{"ResNet-50", 512, 14, 1}, Row{"ResNet-50", 512, 7, 5},   Row{"ResNet-50", 2048, 7, 4}};

// Szegedy et al. 2016 (https://arxiv.org/abs/1512.00567), table 1 and figures 5 to 7, for images of
// 299², in the widths of the authors' published model, without the auxiliary head: 94 layers.
constexpr std::array kInceptionV3{
    Row{"Inception-v3", 32, 149, 1},  Row{"Inception-v3", 32, 147, 1},
    Row{"Inception-v3", 64, 147, 1},  Row{"Inception-v3", 80, 73, 1},
    Row{"Inception-v3", 192, 71, 1},  Row{"Inception-v3", 32, 35, 1},
    Row{"Inception-v3", 48, 35, 3},   Row{"Inception-v3", 64, 35, 12},
    Row{"Inception-v3", 96, 35, 7},   Row{"Inception-v3", 96, 17, 1},
    Row{"Inception-v3", 128, 17, 6},  Row{"Inception-v3", 160, 17, 12},
    Row{"Inception-v3", 192, 17, 26}, Row{"Inception-v3", 384, 17, 1},
    Row{"Inception-v3", 192, 8, 3},   Row{"Inception-v3", 320, 8, 3},
    Row{"Inception-v3", 384, 8, 12},  Row{"Inception-v3", 448, 8, 2}};

// Howard et al. 2017 (https://arxiv.org/abs/1704.04861), table 1, width 1, images of 224²: 27
// layers.
constexpr std::array kMobileNet{Row{"MobileNet-v1", 32, 112, 2}, Row{"MobileNet-v1", 64, 112, 1},
                                Row{"MobileNet-v1", 64, 56, 1},  Row{"MobileNet-v1", 128, 56, 3},
                                Row{"MobileNet-v1", 128, 28, 1}, Row{"MobileNet-v1", 256, 28, 3},
                                Row{"MobileNet-v1", 256, 14, 1}, Row{"MobileNet-v1", 512, 14, 11},
                                Row{"MobileNet-v1", 512, 7, 1},  Row{"MobileNet-v1", 1024, 7, 3}};

/// Huang et al. 2017 (https://arxiv.org/abs/1608.06993), table 1: growth 32, bottlenecks of 128,
/// blocks of 6, 12, 24 and 16 layers that normalize all that came before, images of 224²: 121
/// layers.
std::vector<Row> densenet121() {
  std::vector<Row> rows{{"DenseNet-121", 64, 112, 1}};
  std::int64_t channels = 64, extent = 56;
  for (const int layers : {6, 12, 24, 16}) {
    for (int i = 0; i < layers; ++i) {
      rows.push_back({"DenseNet-121", channels, extent, 1});
      rows.push_back({"DenseNet-121", 128, extent, 1});
      channels += 32;
    }
    rows.push_back({"DenseNet-121", channels, extent, 1});  // of the transition or the classifier
    channels /= 2;
    extent /= 2;
  }
  return rows;
}

void add(std::vector<SampleShape>& shapes, const Row& row) {
  auto shape = std::ranges::find_if(shapes, [&](const SampleShape& known) {
    return known.c == row.channels && known.h == row.extent && known.w == row.extent;
  });
  if (shape == shapes.end()) {
    shapes.push_back({row.channels, row.extent, row.extent, {}});
    shape = std::prev(shapes.end());
  }
  const auto use = std::ranges::find_if(
      shape->uses, [&](const SampleShape::Use& known) { return known.network == row.network; });
  if (use == shape->uses.end()) {
    shape->uses.push_back({row.network, row.layers});
  } else {
    use->layers += row.layers;
  }
}

}  // namespace

std::string SampleShape::name() const { return fmt::format("{}@{}x{}", c, h, w); }

std::vector<SampleShape> batch_norm_shapes() {
  std::vector<SampleShape> shapes;
  for (const Row& row : kResNet50) add(shapes, row);
  for (const Row& row : densenet121()) add(shapes, row);
  for (const Row& row : kInceptionV3) add(shapes, row);
  for (const Row& row : kMobileNet) add(shapes, row);
  std::ranges::stable_sort(shapes, [](const SampleShape& a, const SampleShape& b) {
    return std::tuple(a.c * a.h * a.w, a.h) > std::tuple(b.c * b.h * b.w, b.h);
  });
  return shapes;
}

std::vector<SampleShape> representative_shapes() {
  constexpr std::array<std::pair<std::int64_t, std::int64_t>, 8> kChosen{
      {{64, 112}, {256, 56}, {64, 56}, {512, 28}, {192, 17}, {1024, 14}, {2048, 7}, {512, 7}}};
  const std::vector<SampleShape> all = batch_norm_shapes();
  std::vector<SampleShape> shapes;
  for (const auto& chosen : kChosen) {
    const auto found = std::ranges::find_if(
        all, [&](const SampleShape& shape) { return std::pair(shape.c, shape.h) == chosen; });
    if (found != all.end()) shapes.push_back(*found);
  }
  return shapes;
}

// Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762): 512 and 1024 values; Devlin et al. 2019
// (https://arxiv.org/abs/1810.04805): 768 values, 128 or 512 positions; Dosovitskiy et al. 2021
// (https://arxiv.org/abs/2010.11929): 197 positions.
std::vector<RowShape> layer_norm_shapes() {
  return {{"BERT, 8 of 512", 4096, 768},
          {"ViT-B/16, 32 of 197", 6304, 768},
          {"Transformer, 32 of 64", 2048, 512},
          {"Transformer big, 32 of 64", 2048, 1024},
          {"wide", 512, 8192},
          {"BERT, 1 of 128", 128, 768},
          {"short rows", 8192, 64}};
}

// Wu and He 2018 (https://arxiv.org/abs/1803.08494): 32 groups in ResNet-50.
std::vector<GroupShape> group_norm_shapes() {
  return {{"64@112x112", 32, 64, 112, 112, 32},  {"256@56x56", 32, 256, 56, 56, 32},
          {"64@56x56", 32, 64, 56, 56, 32},      {"512@28x28", 32, 512, 28, 28, 32},
          {"1024@14x14", 32, 1024, 14, 14, 32},  {"2048@7x7", 32, 2048, 7, 7, 32},
          {"256@56x56, one", 1, 256, 56, 56, 32}};
}

// Ulyanov et al. 2016 (https://arxiv.org/abs/1607.08022), on images of 256².
std::vector<GroupShape> instance_norm_shapes() {
  return {{"32@256x256", 4, 32, 256, 256, 32},
          {"64@128x128", 4, 64, 128, 128, 64},
          {"128@64x64", 4, 128, 64, 64, 128},
          {"512@8x8", 32, 512, 8, 8, 512}};
}

}  // namespace evenkeel::bench
