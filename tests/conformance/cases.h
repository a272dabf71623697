// How each operator of the vectors is run.
#pragma once

#include <functional>
#include <utility>

#include "vectors.h"

namespace evenkeel::conformance {

void run_batch_norm(const Case& c);
/// Layer, group and instance norm.
void run_row_norm(const Case& c);
/// Whether every layer of the case's network exists.
bool can_train(const Case& c);
void run_training(const Case& c);
/// How a case of edge.json is run.
using EdgeRun = std::function<void(const nlohmann::json&)>;
/// By patterns of their names: those of layer, group and instance norm.
const std::vector<std::pair<std::string, EdgeRun>>& row_edges();
/// Registers a test for each case of edge.json (EVENKEEL_EDGE, or the one that the project carries).
void register_edges();
/// Registers a test for each normalization operator's test that ONNX ships (EVENKEEL_ONNX_DATA, or
/// where Debian's libonnx-testdata puts them).
void register_onnx_nodes();

}  // namespace evenkeel::conformance
