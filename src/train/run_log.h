// What a run writes while it runs: metrics.jsonl for programs, TensorBoard events for people.
#pragma once

#include "train/step_probe.h"
#include <evenkeel/io/events.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/train/reporter.h>

namespace evenkeel::train {

class RunLog {
 public:
  explicit RunLog(const model::RunFolder& folder);

  void start(const RunInfo& info);
  /// A single step: its own loss and accuracy, not the epoch's means.
  void step(std::int64_t step, std::int64_t epoch, double loss, double accuracy, double lr);
  void epoch(const EpochRecord& record, nn::Module& network);
  void evaluation(const StepEvaluation& evaluation);
  void probe(const ProbeRecord& record);
  void end(const TrainResult& result);
  void warning(const std::string& text);

 private:
  void histograms(nn::Module& network, std::int64_t step);

  io::JsonLines metrics_;
  io::EventWriter events_;
};

}  // namespace evenkeel::train
