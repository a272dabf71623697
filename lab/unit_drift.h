// How the distributions of the last hidden layer's inputs move over training.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "lab/cell.h"
#include "lab/material.h"
#include <evenkeel/nn/module.h>

namespace evenkeel::lab {

/// Percentiles 15, 50 and 85 of one unit.
using Percentiles = std::array<double, 3>;

/// Looks at a fully connected network, not fused, whose last hidden layer is a Sigmoid behind a
/// Linear, perhaps with a batch norm between them: at what the sigmoid gets, and at what the Linear
/// gives, unit by unit, on the same samples every time.
class UnitDrift {
 public:
  /// Normalizes the samples as the material says and keeps them.
  UnitDrift(const Material& material, const data::Dataset& samples);

  /// Runs the samples through a copy of the network in training mode, as one batch.
  void look(std::int64_t step, const nn::Module& network);
  /// Adds what the looks saw, for the sigmoid's input and, with the prefix "before_", for the
  /// Linear's output. Values, per 100 steps, means over units and of those geometric means over
  /// looks (the first steps of a network alone can outweigh all others): "drift", of the median in
  /// units of the spread (half the distance between the other percentiles) at the look before, and
  /// "spread", |ln| of the spread's change. Series: "drift" by step; "p15", "p50" and "p85" of the
  /// unit whose drift is the median of all.
  void report(Measurement& measurement) const;

 private:
  struct Look {
    std::int64_t step;
    std::vector<Percentiles> input, before;  // by unit
  };

  Tensor samples_;
  std::vector<Look> looks_;
};

}  // namespace evenkeel::lab
