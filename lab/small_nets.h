// Small plain networks for experiments whose layers stand where the named networks have none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lab/material.h"
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::lab {

/// What a block's map gives: [N, features], or [N, features, H, W] where spatial.
struct Place {
  std::int64_t features = 0;
  bool spatial = false;
  bool last = false;  ///< of the last block
};

/// Appends what stands behind a block's map: normalization, activation, dropout.
using BlockTail = std::function<void(nn::Sequential& net, const Place& place)>;

struct SmallNet {
  bool convolutional = false;
  std::vector<std::int64_t> widths;  ///< of the blocks
  bool bias = true;                  ///< of the blocks' maps; false where β stands in for it
  BlockTail tail;
};

/// A builder of it for this material's samples and classes. Fully connected: flattened, blocks of
/// Linear and tail, Linear. Convolutional, of images: blocks of a 3×3 convolution of stride 2 and
/// tail, flattened, Linear.
std::function<std::unique_ptr<nn::Module>(std::uint64_t seed)> builder(const Material& material,
                                                                       const SmallNet& net);
Layout layout_for(const SmallNet& net);

/// Batch norm for a place; training batches of one value per channel are normalized by the running
/// statistics, for no batch size may end a lab.
std::unique_ptr<nn::Module> make_batch_norm(const Place& place, nn::BatchNormOptions options = {});
std::unique_ptr<nn::Module> make_batch_renorm(const Place& place, nn::BatchNormOptions options,
                                              const nn::RenormOptions& renorm);

}  // namespace evenkeel::lab
