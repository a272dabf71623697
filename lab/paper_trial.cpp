#include "lab/paper_trial.h"

namespace evenkeel::lab {

Trial paper_trial(const Material& material, bool norm, const Cell& cell, const PaperSteps& steps) {
  model::NetworkOptions options;
  options.net = "paper-mlp";
  options.norm = norm ? "batch" : "none";
  const bool tuning = cell.stage == "tune";
  Trial trial;
  trial.network = builder(material, options);
  trial.seed = cell.seed;
  trial.batch_size = 60;
  trial.momentum = 0;
  trial.rate = cell.where("rate");
  trial.steps = tuning ? steps.tuning : steps.run;
  trial.watched = tuning ? &material.splits.validation : &material.splits.test;
  return trial;
}

}  // namespace evenkeel::lab
