// A whole run on paper.
#pragma once

#include <filesystem>
#include <string>

#include "plan.h"
#include "tables.h"

namespace evenkeel::bench {

/// {"format": 1, "machine", "batch_norm": [...], "rows", "steps", "growth", "threads"}
Json report_json(const Findings& findings, const Json& machine);
/// Tables, then the geometric means.
std::string report_text(const Findings& findings, const std::string& machine);
/// Puts the report between the lines <!-- bench:begin --> and <!-- bench:end --> of a Markdown
/// file. Throws IoError where they are missing.
void write_document(const std::filesystem::path& path, const Findings& findings,
                    const std::string& machine, bool quick);

}  // namespace evenkeel::bench
