// The first experiment of the original paper as a trial: its network, and how it is trained there.
#pragma once

#include <cstdint>

#include "lab/cell.h"
#include "lab/material.h"
#include "lab/trial.h"

namespace evenkeel::lab {

struct PaperSteps {
  std::int64_t tuning;  ///< in stage "tune"
  std::int64_t run;     ///< in all others
};

/// Three hidden layers of 100 sigmoid units, with batch norm before each sigmoid or without;
/// batches of 60, plain gradient descent (Ioffe and Szegedy 2015, section 4.1). Seed and rate are
/// the cell's; it watches held-back samples in stage "tune" and the test part otherwise. The
/// material must outlive the trial.
Trial paper_trial(const Material& material, bool norm, const Cell& cell, const PaperSteps& steps);

}  // namespace evenkeel::lab
