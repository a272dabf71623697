// What is measured: the activations that batch norm sees in well-known networks, and rows for the
// other normalizations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace evenkeel::bench {

/// One sample [C, H, W] and the networks in which it goes through a normalization.
struct SampleShape {
  std::int64_t c = 0, h = 0, w = 0;
  struct Use {
    std::string network;
    int layers = 0;  ///< of the network with this input
  };
  std::vector<Use> uses;

  /// "64@112x112"
  std::string name() const;
};

/// The inputs of every batch norm layer of ResNet-50, DenseNet-121, Inception-v3 and MobileNet-v1,
/// each shape once, largest first.
std::vector<SampleShape> batch_norm_shapes();
/// A few of them that stand for the rest: large and small maps, few and many channels.
std::vector<SampleShape> representative_shapes();

/// Rows for layer norm: `rows` of `length` values.
struct RowShape {
  std::string name;
  std::int64_t rows = 0, length = 0;
};
std::vector<RowShape> layer_norm_shapes();

/// Activations for group norm (groups > 1 channels each) and instance norm (one channel each).
struct GroupShape {
  std::string name;
  std::int64_t n = 0, c = 0, h = 0, w = 0, groups = 1;
};
std::vector<GroupShape> group_norm_shapes();
std::vector<GroupShape> instance_norm_shapes();

}  // namespace evenkeel::bench
