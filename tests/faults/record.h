// What preload/faulty_io.cpp recorded of a run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "faults/tiny_run.h"

namespace evenkeel::testing {

/// One call that changed something, or was meant to.
struct Call {
  std::int64_t number = 0;            ///< among all, from 1
  std::string kind;                   ///< open, write, fsync, fsyncdir, rename, …
  std::int64_t number_of_kind = 0;    ///< among those of its kind, from 1
  std::int64_t result = 0;            ///< or -errno
  std::filesystem::path path, other;  ///< other: where a rename went

  bool ok() const { return result >= 0; }
};

std::vector<Call> read_record(const std::filesystem::path& path);

/// The calls of a run that nothing happens to, below its folder.
std::vector<Call> calls_of(const TinyRun& run);

/// From the open of the temporary file to the last call on behalf of the file that took its place.
struct Save {
  std::size_t first = 0, last = 0;  ///< in the list of calls; last: fsyncdir
};
/// The save that put `target` in place, the first one where there were several.
std::optional<Save> save_of(const std::vector<Call>& calls, const std::filesystem::path& target);

/// The step of the newest checkpoint that was saved wholly: renamed, and its folder synchronized.
std::optional<std::int64_t> saved_step(const std::vector<Call>& calls);

}  // namespace evenkeel::testing
