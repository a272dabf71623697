// Files of other libraries' making, right and wrong, as a manifest labels them:
// {"files": [{"file": "npy/x.npy", "kind": "npy", "expect": "accept" | "reject" | "either"}]}.
// The folder is named by EVENKEEL_FAULTS. What is refused costs little.
#pragma once

#include <filesystem>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "io/cost.h"
#include "io/io_testing.h"
#include <evenkeel/core/error.h>

namespace evenkeel::io::testing {

struct Fault {
  std::string file;
  std::string kind;
  std::string expect;
  std::string why;
};

inline std::vector<Fault> read_manifest(const std::filesystem::path& folder) {
  const auto manifest = nlohmann::json::parse(read_bytes(folder / "manifest.json"));
  std::vector<Fault> faults;
  for (const auto& entry : manifest.at("files")) {
    faults.push_back({entry.at("file").get<std::string>(), entry.at("kind").get<std::string>(),
                      entry.at("expect").get<std::string>(), entry.value("why", "")});
  }
  return faults;
}

using Reader = std::function<void(const std::filesystem::path&)>;

/// "accept", "reject", or a description of what must not happen.
inline std::string outcome(const Reader& reader, const std::filesystem::path& file) {
  try {
    reader(file);
    return "accept";
  } catch (const IoError& error) {
    const std::string message = error.what();
    if (message.find(file.filename().string()) == std::string::npos) {
      return "a message that does not name the file: " + message;
    }
    if (message.find('\n') != std::string::npos) return "a message of several lines: " + message;
    return "reject";
  } catch (const std::exception& error) {
    return std::string("an exception that is no IoError: ") + error.what();
  }
}

/// Checks every file of `kind`, and returns how many there were. `whole` is one that is read.
inline int check_kind(const std::string& kind, const std::string& whole, const Reader& reader) {
  const auto folder = *folder_from("EVENKEEL_FAULTS");
  int checked = 0;
  Cost worst;
  for (const Fault& fault : read_manifest(folder)) {
    if (fault.kind != kind) continue;
    ++checked;
    const Cost cost = cost_of(
        [&] {
          outcome(reader, folder / whole);
          outcome(reader, folder / "no such file");
        },
        [&] { return outcome(reader, folder / fault.file); });
    const std::string& got = cost.outcome;
    const bool fits =
        fault.expect == "either" ? got == "accept" || got == "reject" : got == fault.expect;
    if (!fits) {
      ADD_FAILURE() << fault.file << " (" << fault.why << "): expected " << fault.expect << ", got "
                    << got;
    }
    if (got != "reject") continue;
    EXPECT_LT(cost.growth, kGrowthLimit) << fault.file << ": KiB to refuse it";
    EXPECT_LT(cost.asked, 1024) << fault.file << ": KiB asked for tensors";
    EXPECT_LT(cost.milliseconds, 5000) << fault.file;
    worst.growth = std::max(worst.growth, cost.growth);
    worst.milliseconds = std::max(worst.milliseconds, cost.milliseconds);
  }
  std::cout << checked << " files of kind " << kind << "; to refuse one took at most "
            << worst.milliseconds << " ms and " << worst.growth << " KiB\n";
  return checked;
}

}  // namespace evenkeel::io::testing
