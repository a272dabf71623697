// Every experiment, a function each; experiments.cpp lists them.
#pragma once

#include "lab/experiment.h"

namespace evenkeel::lab {

Experiment convergence();
Experiment regularization();
Experiment batch_size();
Experiment train_or_eval();
Experiment identity();
Experiment dropout_order();
Experiment hyper_parameters();

}  // namespace evenkeel::lab
