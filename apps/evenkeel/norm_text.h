// eps and momentum that the normalizations of a network really have.
#pragma once

#include <string>

#include "text.h"
#include <evenkeel/nn/module.h>

namespace evenkeel::app {

/// "eps 1e-05, momentum 0.1 of the new value, 0.9 of the old", or for what layers do not have in
/// common "eps differs by layer: 1e-05 in 1; 0.01 in 4, 7"; "none" without normalizations. With
/// `momentum` false eps alone.
std::string norms_text(nn::Module& network, bool momentum = true);

/// Puts "eps" and "momentum" (null where it is cumulative or layers differ), and "norms", the list
/// of all with their own.
void put_norms(nn::Module& network, Json& json);

}  // namespace evenkeel::app
