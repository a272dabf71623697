// Every experiment, a function each; experiments.cpp lists them.
#pragma once

#include "lab/experiment.h"

namespace evenkeel::lab {

Experiment convergence();

}  // namespace evenkeel::lab
