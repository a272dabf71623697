// A module of a network by its path.
#pragma once

#include <string_view>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// The module at a path such as "3.body.1", as visit() and state dicts spell them; "" is the
/// network itself. Throws UsageError naming the nearest path for one that does not exist.
Module& find(Module& network, std::string_view path);

}  // namespace evenkeel::nn
