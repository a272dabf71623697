// What a network says of the classes.
#pragma once

#include <string_view>

#include "loaded_run.h"

namespace evenkeel::app {

/// Makes the network give logits wherever its last layer, a Softmax or a Sigmoid of one output,
/// gives probabilities; one output becomes two classes. True where each class has a probability of
/// its own (a Sigmoid of several). Networks trained here gave logits then, whatever ends them.
/// Throws ShapeError, in the name of the command, for an output that is not one score per class.
bool expect_scores(std::string_view command, LoadedRun& run);

/// [N, input...], of the batch that the network takes, else of two.
Shape batch_shape(const LoadedRun& run);

}  // namespace evenkeel::app
