// What a disk may hold after the power was lost: a model of a file system that keeps no promise but
// those that fsync gives.
#pragma once

#include <string>
#include <vector>

#include "faults/record.h"

namespace evenkeel::testing {

/// Plays the calls one by one. After each, every outcome of a loss of power there must hold: of the
/// changes to a folder (files and folders made, renamed, removed) since its last fsync, any may
/// have reached the disk and any may not; of a file whose content was not synchronized since the
/// last write, anything.
///
/// Returns what is wrong, empty if nothing is:
/// - a file under its final name whose content may be anything;
/// - no intact file of the checkpoint that was reported as saved, or of a newer one, or no folder
///   that leads to it from `root`.
std::string loss_after_any_call(const std::vector<Call>& calls, const std::filesystem::path& root);

}  // namespace evenkeel::testing
