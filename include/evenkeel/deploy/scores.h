// Networks of others that end in a Softmax or Sigmoid: their logits, for losses and probabilities.
#pragma once

#include <cstdint>

#include <evenkeel/core/shape.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::deploy {

/// What a network gives for each class.
enum class Scores : std::uint8_t {
  logits,         ///< any number; or what is not known
  probabilities,  ///< of a Softmax over the classes: they add up to 1
  independent,    ///< of a Sigmoid: each class by itself
};

/// By its last layer, for inputs of this shape, batch first: a Softmax over all classes or a
/// Sigmoid, with nothing but Flatten, Reshape, Identity and Dropout behind it.
Scores scores_of(nn::Module& network, const Shape& batch);

/// Takes the last layer away where the logits before it say the same: a Softmax; and a Sigmoid that
/// gives one probability p, which becomes the logits of two classes with the probabilities 1 − p
/// and p. Returns what the network gives then. Not for a network that is to be written again.
Scores give_logits(nn::Module& network, const Shape& batch);

}  // namespace evenkeel::deploy
