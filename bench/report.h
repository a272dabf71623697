// A whole run on paper.
#pragma once

#include <filesystem>
#include <string>

#include "plan.h"
#include "tables.h"

namespace evenkeel::bench {

/// When and where a run took place.
struct Circumstances {
  Json machine;
  std::string machine_text;
  bool quick = false;
  std::size_t cache = 0;   ///< bytes of the last-level cache that this machine has to itself
  double other_work = -1;  ///< OtherWork::part
};

/// {"format": 1, "date", "quick", "machine", "other_work", "batch_norm": [...], "rows", "steps",
/// "growth", "threads"}
Json report_json(const Findings& findings, const Circumstances& circumstances);
/// Tables, then the geometric means.
std::string report_text(const Findings& findings, const Circumstances& circumstances);
/// Puts the report between the lines <!-- bench:begin --> and <!-- bench:end --> of a Markdown
/// file. Throws IoError where they are missing.
void write_document(const std::filesystem::path& path, const Findings& findings,
                    const Circumstances& circumstances);

}  // namespace evenkeel::bench
