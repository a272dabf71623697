#include <algorithm>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/nn/find.h>
#include <evenkeel/train/activation_recorder.h>
#include <evenkeel/train/percentiles.h>

namespace evenkeel::train {

/// Shared with the watch, which may outlive the recorder where probes end in another order.
struct ActivationRecorder::Entry {
  nn::Module* module = nullptr;
  std::string path;
  nn::Watch before;
  std::vector<double> percentiles;
  std::optional<std::int64_t> unit;
  std::optional<std::int64_t> step;  // that is waited for
  Series series;

  void hear(const Tensor& y) {
    if (!step || !module->training()) return;
    series.values.push_back(unit ? percentiles_of_unit(y, *unit, percentiles)
                                 : train::percentiles(y, percentiles));
    series.steps.push_back(*step);
    step.reset();
  }
};

ActivationRecorder::ActivationRecorder(nn::Module& network, std::span<const std::string> paths,
                                       std::span<const double> percentiles,
                                       std::optional<std::int64_t> unit) {
  (void)train::percentiles(std::vector<double>{}, percentiles);  // throws what it would throw later
  for (const std::string& path : paths) {
    auto entry = std::make_shared<Entry>();
    entry->module = &nn::find(network, path);
    if (path.empty()) {
      fail<UsageError>("[recorder] expected paths of modules inside {}, got its own, ''",
                       network.label());
    }
    if (std::ranges::count(paths, path) > 1) {
      fail<UsageError>("[recorder] expected each path once, got '{}' twice", path);
    }
    entry->path = path;
    entry->percentiles.assign(percentiles.begin(), percentiles.end());
    entry->unit = unit;
    entries_.push_back(std::move(entry));
  }
  for (const std::shared_ptr<Entry>& entry : entries_) {
    entry->before = entry->module->watch();
    nn::Watch watch = entry->before;
    watch.forward = [entry, earlier = entry->before.forward](const Tensor& y) {
      if (earlier) earlier(y);
      entry->hear(y);
    };
    entry->module->set_watch(std::move(watch));
  }
}

ActivationRecorder::~ActivationRecorder() {
  for (const std::shared_ptr<Entry>& entry : entries_) {
    entry->module->set_watch(std::move(entry->before));
    entry->step.reset();
  }
}

void ActivationRecorder::record(std::int64_t step) {
  for (const std::shared_ptr<Entry>& entry : entries_) entry->step = step;
}

const ActivationRecorder::Series& ActivationRecorder::series(std::string_view path) const {
  std::vector<std::string> paths;
  for (const std::shared_ptr<Entry>& entry : entries_) {
    if (entry->path == path) return entry->series;
    paths.push_back(entry->path);
  }
  fail<UsageError>("[recorder] expected one of {} recorded paths, got '{}'{}", paths.size(), path,
                   did_you_mean(path, paths));
}

}  // namespace evenkeel::train
