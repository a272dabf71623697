// The data that a trained network is used on: its run's own, or others like them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "loaded_run.h"
#include <evenkeel/data/dataset.h>

namespace evenkeel::app {

/// `given`, or where that is empty the run's own. Throws UsageError, in the name of the command as
/// all of these do, where neither is known.
std::string data_of(std::string_view command, const std::string& given, const std::string& path,
                    const LoadedRun& run);

/// The same split as in training, for the run's own data.
data::Splits open_splits(const std::string& spec, const LoadedRun& run);

/// "train", "validation" or "test"; UsageError where it is empty.
const data::Dataset& part_of(std::string_view command, const data::Splits& splits,
                             const std::string& spec, const std::string& part);

/// Throws ShapeError unless the network takes such samples.
void check_samples(std::string_view command, const data::Dataset& dataset, const std::string& spec,
                   const model::NetworkOptions& options);
/// Throws ShapeError unless the network knows as many classes.
void check_classes(std::string_view command, const data::Dataset& dataset, const std::string& spec,
                   const model::NetworkOptions& options);

/// One line on standard error, which goes at the end.
void show_samples(std::int64_t done, std::int64_t total);

}  // namespace evenkeel::app
