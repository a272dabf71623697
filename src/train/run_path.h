// Where a run lies, and whether a resumed one is the same.
#pragma once

#include <filesystem>

#include <evenkeel/train/settings.h>

namespace evenkeel::train {

/// runs/NET-DATA, with a number where that holds a run.
std::filesystem::path free_run_path(const Settings& settings);

/// Throws UsageError naming the first setting that differs though a resumed run may not change it.
void check_same_run(const Settings& given, const Settings& stored);

}  // namespace evenkeel::train
