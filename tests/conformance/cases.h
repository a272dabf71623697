// How each operator of the vectors is run.
#pragma once

#include "vectors.h"

namespace evenkeel::conformance {

void run_batch_norm(const Case& c);
/// Whether every layer of the case's network exists.
bool can_train(const Case& c);
void run_training(const Case& c);
/// Registers a test for each case of edge.json (EVENKEEL_EDGE, or the one that the project carries).
void register_edges();

}  // namespace evenkeel::conformance
