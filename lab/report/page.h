// Results as one HTML file that opens anywhere (docs/report.md).
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace evenkeel::lab {

struct PageOptions {
  std::string title = "evenkeel lab";  ///< of the window
};

/// The page that draws these JSON lines, of the lab or of runs. It holds them, the scripts and the
/// styles; nothing is loaded from elsewhere, and no text of the lines can become markup or run.
/// Lines of unknown kind are passed over. The bytes depend on the arguments alone.
/// UsageError, with the line's number, where one is not a JSON object on one line.
std::string make_page(std::span<const std::string> lines, const PageOptions& options = {});

/// Writes it atomically; IoError where that fails.
void write_page(const std::filesystem::path& path, std::span<const std::string> lines,
                const PageOptions& options = {});

}  // namespace evenkeel::lab
