#include "run_data.h"

#include <cstdio>

#include <fmt/format.h>

#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/data/source.h>

namespace evenkeel::app {

std::string data_of(std::string_view command, const std::string& given, const std::string& path,
                    const LoadedRun& run) {
  if (!given.empty()) return given;
  if (run.settings) return run.settings->data;
  fail<UsageError>(
      "[{}] '{}' does not say what it was trained on; give --data, such as --data glyphs", command,
      path);
}

data::Splits open_splits(const std::string& spec, const LoadedRun& run) {
  data::SourceOptions options;
  if (run.settings) {
    options.seed = run.settings->seed;
    options.validation = run.settings->validation;
  }
  return data::open_source(spec, options);
}

const data::Dataset& part_of(std::string_view command, const data::Splits& splits,
                             const std::string& spec, const std::string& part) {
  const data::Dataset& dataset = part == "train"        ? splits.train
                                 : part == "validation" ? splits.validation
                                                        : splits.test;
  if (dataset.size() == 0) {
    fail<UsageError>("[{}] '{}' has no {} part; choose another with --part", command, spec, part);
  }
  return dataset;
}

void check_samples(std::string_view command, const data::Dataset& dataset, const std::string& spec,
                   const model::NetworkOptions& options) {
  // Sequences may be longer or shorter than those of training.
  const bool steps_alike = !dataset.lengths.empty() && options.input.rank() == 2 &&
                           dataset.samples.dim(1) == options.input[0];
  if (dataset.sample_shape() == options.input || steps_alike) return;
  fail<ShapeError>(
      "[{}] the network takes samples of shape {}, but those of '{}' are {}; give data like what "
      "it was trained on",
      command, options.input.str(), spec, dataset.sample_shape().str());
}

void check_classes(std::string_view command, const data::Dataset& dataset, const std::string& spec,
                   const model::NetworkOptions& options) {
  if (dataset.classes <= options.classes) return;
  fail<ShapeError>(
      "[{}] the network knows {} classes, but '{}' has {}; give data like what it was trained on",
      command, options.classes, spec, dataset.classes);
}

void show_samples(std::int64_t done, std::int64_t total) {
  fmt::print(stderr, "\r\x1b[K{} of {} samples", grouped(done), grouped(total));
  if (done >= total) fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace evenkeel::app
