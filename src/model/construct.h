// A network before its parameters have values.
#pragma once

#include <memory>

#include <evenkeel/model/network.h>

namespace evenkeel::model {

/// Builds and checks as build_network() does, with weights of zero: for whoever fills them from a
/// file.
std::unique_ptr<nn::Module> construct_network(const NetworkOptions& options);

}  // namespace evenkeel::model
