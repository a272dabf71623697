// Batch norm layers of a network held still, by name.
#pragma once

#include <string_view>

#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Calls freeze(what) of every batch norm layer whose path ("3.body.1") fits the pattern, in which
/// * stands for any text and ? for one character; Freeze::none lets go. Returns how many there are.
/// Throws UsageError, before anything is frozen, where no layer fits or one has nothing of the kind
/// to freeze.
int freeze_batch_norm(Module& network, std::string_view pattern, Freeze what = Freeze::statistics);

}  // namespace evenkeel::nn
