// What a convolution does to its results before it stores them.
#pragma once

#include <cstdint>

namespace evenkeel::ops::onednn {

/// First the sum, then the activation.
struct ConvPost {
  enum class Add : std::uint8_t {
    none,
    into,  ///< y holds what is added
    apart  ///< what is added lies elsewhere, in y's format
  };
  enum class Activation : std::uint8_t { none, relu, leaky_relu };

  Add add = Add::none;
  Activation activation = Activation::none;
  float slope = 0;

  bool nothing() const { return add == Add::none && activation == Activation::none; }
};

}  // namespace evenkeel::ops::onednn
