// Networks as text.
#pragma once

#include <string>
#include <vector>

#include <evenkeel/core/shape.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// One module of a network.
struct LayerDescription {
  std::string path;  ///< "" for the network itself
  std::string type;
  std::string options;  ///< "in_features=784, out_features=256"
  std::string note;     ///< what was fused, or ""
  std::string mode;     ///< how it trains, such as "running statistics fixed", or ""
  Shape output;
  std::int64_t parameters = 0;  ///< trainable elements here and in the children
  bool has_children = false;
};

/// The network and, depth first, everything in it, for an input of this shape. Throws ShapeError
/// where the input does not fit. Children of modules that are no Container are not entered.
std::vector<LayerDescription> describe_layers(Module& network, const Shape& input);

/// The same as an aligned table, with the total of trainable parameters in the last line.
std::string describe(Module& network, const Shape& input);

}  // namespace evenkeel::nn
