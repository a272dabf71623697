// A lab on the smallest budget, for tests.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lab/folder.h"
#include "lab/lab.h"

namespace evenkeel::lab::testing {

inline const std::string kGlyphs = "glyphs:train=600,test=200";

/// Of these experiments, or of all.
inline LabOptions trial(const std::filesystem::path& out, std::vector<std::string> names = {}) {
  LabOptions options;
  options.names = std::move(names);
  options.budget = Budget::trial;
  options.data = {kGlyphs};
  options.out = out;
  options.jobs = 2;
  options.version = "test";
  return options;
}

/// The lines of one kind in a file of results.
inline std::vector<Json> lines_of_kind(const std::filesystem::path& path, const std::string& kind) {
  std::vector<Json> found;
  for (const std::string& text : lines_of(path)) {
    Json line = Json::parse(text);
    if (line.at("kind") == kind) found.push_back(std::move(line));
  }
  return found;
}

}  // namespace evenkeel::lab::testing
