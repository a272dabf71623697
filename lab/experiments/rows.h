// Every experiment, a function each; experiments.cpp lists them.
#pragma once

#include "lab/experiment.h"

namespace evenkeel::lab {

Experiment convergence();
Experiment covariate_shift();
Experiment learning_rate();
Experiment initialization();
Experiment depth();
Experiment regularization();
Experiment batch_size();
Experiment train_or_eval();
Experiment landscape();
Experiment identity();
Experiment placement();
Experiment dropout_order();
Experiment sequences();
Experiment cost();
Experiment hyper_parameters();
Experiment relatives();

}  // namespace evenkeel::lab
