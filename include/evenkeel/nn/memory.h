// What a network keeps between forward and backward, and what it computes again instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

enum class Memory : std::uint8_t {
  keep,    ///< every layer keeps what its backward needs
  normal,  ///< large tensors that batch norm gave are made again by the one pass that made them
  save     ///< all that batch norm gave, behind residual sums too, is made again, or what it got
};

/// Tensors of so many bytes are large: they leave the caches between forward and backward, and to
/// read one again takes about as long as to make it again from another that is read anyway.
inline constexpr std::size_t kLargeTensor = std::size_t{4} << 20;

/// "keep", "normal", "save": as options spell them.
std::string_view name_of(Memory memory);
/// Throws UsageError for another word.
Memory memory_of(std::string_view name);

/// Sets it for the forwards that follow, in `network` and everything below; returns how many layers
/// it concerns. A convolution or linear layer behind a batch norm (and the activation and residual
/// sum that are fused into it; see fuse()) then keeps no input: its backward normalizes again what
/// batch norm keeps anyway, with the statistics of forward. Gradients keep their bits; but with
/// `save`, a batch norm that a LeakyReLU is fused into works as with BatchNormOptions::in_place, and
/// its gradients differ by rounding. Parameters must not change between forward and backward, as
/// otherwise. Other layers stay as they are, and batch norms for which nobody called this are
/// normal.
int set_memory(Module& network, Memory memory);

}  // namespace evenkeel::nn
