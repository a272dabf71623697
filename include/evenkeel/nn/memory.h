// What a network keeps between forward and backward, and what it computes again instead.
#pragma once

#include <cstdint>
#include <string_view>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

enum class Memory : std::uint8_t {
  normal,  ///< every layer keeps what its backward needs
  save     ///< what batch norm gave is normalized again from what it got
};

/// "normal", "save": as options spell them.
std::string_view name_of(Memory memory);
/// Throws UsageError for another word.
Memory memory_of(std::string_view name);

/// Sets it for the forwards that follow, in `network` and everything below; returns how many layers
/// it concerns. With Memory::save a convolution or linear layer behind a batch norm (and the
/// activation and residual sum that are fused into it; see fuse()) keeps no input: its backward
/// normalizes again what batch norm keeps anyway, with the statistics of forward. Gradients keep
/// their bits. Parameters must not change between forward and backward, as otherwise. A network of
/// another kind of normalization stays as it is.
int set_memory(Module& network, Memory memory);

}  // namespace evenkeel::nn
