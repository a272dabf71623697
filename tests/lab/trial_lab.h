// A lab on the smallest budget, for tests.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

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

}  // namespace evenkeel::lab::testing
