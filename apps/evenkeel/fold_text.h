// What fold() did, for people and programs.
#pragma once

#include "text.h"
#include <evenkeel/nn/fold.h>

namespace evenkeel::app {

/// A row for each layer that is gone or stays.
Table fold_table(const nn::FoldReport& report);
/// Throws Error, in the name of the command, where a batch norm's statistics or weights are faulty:
/// folding would hide what can still be mended.
void expect_sound(std::string_view command, const nn::FoldReport& report);
Json fold_json(const nn::FoldReport& report);

}  // namespace evenkeel::app
