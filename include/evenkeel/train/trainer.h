// A whole training run: data, network, optimizer, metrics, checkpoints.
#pragma once

#include <memory>

#include <evenkeel/data/dataset.h>
#include <evenkeel/model/network.h>
#include <evenkeel/train/reporter.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::train {

/// Trains a network as the settings say and writes a run folder: config.toml, metrics.jsonl,
/// events/ for TensorBoard, checkpoints/ (the last two), final.safetensors, and best.safetensors
/// where a validation part is used. The test part is used once, after the last step (and for
/// eval_every where there is no validation part); nothing is chosen by it.
///
/// A run that was interrupted or killed and is resumed ends with the same bits as one that was not,
/// with the same number of threads (any number with `deterministic`). Checkpoints carry a checksum;
/// a resumed run takes the newest that is intact. SIGINT and SIGTERM end the step, write a
/// checkpoint and return; a second one kills as usual.
///
/// With probe_every, every so many steps the metrics get a line about gradients, weights and batch
/// norms (docs/probes.md); the run keeps its bits.
///
/// A step whose loss or gradient is not finite is skipped: parameters and optimizer stay as they
/// were, and batch norm's guard keeps such a batch out of the running statistics. The metrics name
/// the first of each epoch, the reporter hears of each kind once and then of their number at the
/// end of each epoch; kMaxSkipped in a row end the run with NumericError.
class Trainer {
 public:
  static constexpr std::int64_t kMaxSkipped = 20;

  /// Opens the data that the settings name. Nothing is written yet. Throws UsageError for settings
  /// that do not fit, IoError for data that cannot be read, ShapeError where data and network do
  /// not fit.
  explicit Trainer(const Settings& settings, Reporter* reporter = nullptr);
  /// The same with data at hand; settings.data is only a name then.
  Trainer(const Settings& settings, data::Splits splits, Reporter* reporter = nullptr);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains. Throws IoError for a folder that cannot be written, before the first step; UsageError
  /// for a resumed run whose settings differ from the stored ones; NumericError as above. Call it
  /// once.
  TrainResult run();
  /// From any thread or from a reporter: the step that runs is the last, then as for a signal.
  void request_stop(int signal = 2);

  const Settings& settings() const;  ///< resolved
  nn::Module& network();
  const model::NetworkOptions& network_options() const;
  const data::Splits& splits() const;
  const data::Normalization& normalization() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace evenkeel::train
