// A copy of a network's buffers, to which a step that fails goes back.
#pragma once

#include <cstring>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::train {

/// Running statistics and random positions are small, so that copying them every step costs
/// nothing beside it. Neither call allocates.
class KeptBuffers {
 public:
  explicit KeptBuffers(nn::Module& network) {
    for (const nn::NamedBuffer& named : network.buffers()) {
      kept_.push_back({named.buffer, named.buffer->value.clone()});
    }
  }

  void remember() {
    for (const Kept& kept : kept_) copy(kept.live->value, kept.copy);
  }
  void restore() {
    for (const Kept& kept : kept_) copy(kept.copy, kept.live->value);
  }

 private:
  struct Kept {
    nn::Buffer* live;
    Tensor copy;
  };

  static void copy(const Tensor& from, Tensor to) {
    if (from.bytes() > 0) std::memcpy(to.raw(), from.raw(), from.bytes());
  }

  std::vector<Kept> kept_;
};

}  // namespace evenkeel::train
