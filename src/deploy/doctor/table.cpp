// The table of checks. A check is a function and a row here, and a section of docs/doctor.md.

#include "deploy/doctor/examination.h"

namespace evenkeel::deploy {
namespace {

using enum Severity;
constexpr bool kData = true;

}  // namespace

const std::vector<Check>& checks() {
  static const std::vector<Check> table = {
      {{"weights-not-finite", error, !kData, "parameters that are NaN or infinite",
        "every output that depends on them is spoiled",
        "go back to a checkpoint from before; train with a smaller lr or with clip"},
       check_weights},
      {{"statistics-not-finite", error, !kData, "running statistics that are NaN or infinite",
        "eval mode gives NaN, training mode does not show it",
        "take them anew (evenkeel recalibrate); train with the guard on"},
       check_statistics_finite},
      {{"negative-variance", error, !kData, "running variances below 0",
        "the square root of variance + eps is NaN, or far too small",
        "take the statistics anew (evenkeel recalibrate); look for what wrote them"},
       check_negative},
      {{"values-not-finite", error, kData, "values that are NaN or infinite on the way",
        "this and all that follows is spoiled",
        "look at the layer before it, and for values in the data that are not finite"},
       check_values_finite},
      {{"exploded-statistics", error, !kData, "running statistics of enormous inputs",
        "activations grow without bounds before this layer, or somebody overwrote its statistics",
        "train with a smaller lr; take the statistics anew (evenkeel recalibrate)"},
       check_exploded},
      {{"never-updated", error, !kData, "running statistics as they began",
        "eval mode does not normalize: it computes another function than training",
        "train in training mode, load the statistics too, or evenkeel recalibrate"},
       check_never_updated},
      {{"training-mode", error, !kData, "an exported model in training mode",
        "what it predicts for a sample depends on the others of the batch",
        "export it in eval mode (without --training; PyTorch: model.eval() first)"},
       check_training_mode},
      {{"mode-gap", error, kData, "accuracy and loss with running and with batch statistics",
        "the running statistics make the network worse than its weights are",
        "take them anew (evenkeel recalibrate); other findings may say why"},
       check_mode_gap},
      {{"far-apart-statistics", error, kData, "running statistics unlike those of the data",
        "eval mode normalizes with statistics that its inputs do not have",
        "take them anew (evenkeel recalibrate) from data like those that it will meet"},
       check_far_apart},
      {{"momentum-convention", warning, !kData, "a momentum of the other convention",
        "the running statistics are hardly more than those of the last batch",
        "give the weight of the new value, 0.1 for the 0.9 of other frameworks; or decay = 0.9"},
       check_momentum},
      {{"few-updates", warning, !kData, "running statistics of too few batches",
        "eval mode normalizes in part with the mean 0 and variance 1 of the beginning",
        "train for longer, with a larger momentum, or evenkeel recalibrate"},
       check_few_updates},
      {{"tiny-batch", warning, !kData, "few values or samples per batch and channel",
        "the batch's statistics are mostly chance, and the running ones not those of training",
        "take larger batches (accumulate does not help), or --norm group:8, layer or renorm"},
       check_tiny_batch},
      {{"no-running-statistics", warning, !kData, "batch norms that always take the batch's own",
        "what it predicts for a sample depends on the others of the batch; one alone may fail",
        "train with track_running_stats, or take a norm without batches, such as group:8"},
       check_untracked},
      {{"dead-channels", warning, !kData, "gamma of about 0",
        "these channels give the constant beta, whatever comes in: width that is paid for in vain",
        "remove them, or train with less weight decay on gamma or a smaller lr"},
       check_dead},
      {{"constant-channels", warning, !kData, "variance of about 0",
        "these channels carry nothing; the least deviation from the constant is blown up by "
        "1/sqrt(eps)",
        "look at the layer before it: dead ReLUs, zero weights, inputs that never vary"},
       check_constant},
      {{"eps-dominates", warning, !kData, "eps above the variance",
        "the outputs are far smaller than the variance 1 that batch norm promises",
        "take a smaller eps (1e-5 is usual), or scale up what comes before it"},
       check_eps},
      {{"dropout-before-norm", warning, !kData, "dropout whose scaling changes the variance",
        "the variance that it learned in training, dropout included, is too large in eval mode "
        "(Li et al., 2018)",
        "put it behind the last batch norm, or leave it out; or evenkeel recalibrate"},
       check_dropout},
      {{"bias-before-norm", info, !kData, "biases that a batch norm takes out again",
        "it changes nothing but costs memory and time: the mean is subtracted",
        "give that layer bias = false; beta does its work"},
       check_bias},
      {{"foldable", info, !kData, "batch norms that inference does not need",
        "in eval mode a layer beside it can do its work, at no cost",
        "evenkeel fold RUN -o FILE, or nn::fold(), for deployment"},
       check_foldable},
  };
  return table;
}

}  // namespace evenkeel::deploy
