// The lists of shapes are the networks' own.

#include <map>
#include <set>

#include <bench/shapes.h>
#include <gtest/gtest.h>

namespace evenkeel::bench {
namespace {

TEST(Shapes, EveryBatchNormLayerOfTheNetworksIsCounted) {
  std::map<std::string, int> layers;
  for (const SampleShape& shape : batch_norm_shapes()) {
    for (const SampleShape::Use& use : shape.uses) layers[use.network] += use.layers;
  }
  const std::map<std::string, int> published{
      {"ResNet-50", 53}, {"DenseNet-121", 121}, {"Inception-v3", 94}, {"MobileNet-v1", 27}};
  EXPECT_EQ(layers, published);
}

TEST(Shapes, EachIsListedOnce) {
  std::set<std::string> names;
  for (const SampleShape& shape : batch_norm_shapes()) {
    EXPECT_TRUE(names.insert(shape.name()).second) << shape.name();
  }
  for (const SampleShape& shape : representative_shapes()) {
    EXPECT_EQ(names.count(shape.name()), 1U) << shape.name();
  }
  EXPECT_EQ(representative_shapes().size(), 8U);
}

TEST(Shapes, GroupsDivideTheChannels) {
  for (const auto& list : {group_norm_shapes(), instance_norm_shapes()}) {
    for (const GroupShape& shape : list) EXPECT_EQ(shape.c % shape.groups, 0) << shape.name;
  }
}

}  // namespace
}  // namespace evenkeel::bench
