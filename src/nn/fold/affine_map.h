// What batch norm is in eval mode, and layers that do it beside their own work.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/elementwise.h>

namespace evenkeel::nn {

/// scale·x + shift per channel.
struct AffineMap {
  std::vector<double> scale, shift;

  std::int64_t channels() const { return static_cast<std::int64_t>(scale.size()); }
  bool shifts() const;
};

/// Of a batch norm with running statistics.
AffineMap map_of(BatchNorm& norm);
/// Which of its numbers give no map, and what to do: empty where there is one.
std::string fault_of(BatchNorm& norm);
/// Of a layer that meets [N, channels, …] with `rank` dimensions; no scale where its weight has
/// more than a value per channel.
AffineMap map_of(const Elementwise& layer, int rank, std::int64_t channels);

/// A layer whose weights may take a map: Convolution, TransposedConvolution or Linear.
struct Weighted {
  Module* layer = nullptr;
  std::int64_t inputs = 0, outputs = 0;  ///< channels
  int rank = 0;                          ///< of its input and its output
  bool pads = false;                     ///< zeros come into what it sums up
  bool transposed = false;
};
/// Without a layer where the module is none of these.
Weighted weighted(Module& module);

/// A copy of the layer that does the map to its output as well.
std::unique_ptr<Module> with_map_behind(const Weighted& at, const AffineMap& map);
/// One that does the map to its input first. Each of the map's channels is `each` inputs of a
/// Linear.
std::unique_ptr<Module> with_map_before(const Weighted& at, const AffineMap& map,
                                        std::int64_t each);

}  // namespace evenkeel::nn
