// Names that are given once.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

namespace evenkeel::deploy {

class UniqueNames {
 public:
  explicit UniqueNames(std::unordered_set<std::string> taken) : taken_(std::move(taken)) {}

  /// The name, or with a number behind it where it is taken.
  std::string take(const std::string& name) {
    if (taken_.insert(name).second) return name;
    int& number = numbers_.try_emplace(name, 1).first->second;
    std::string other;
    do {
      other = fmt::format("{}_{}", name, ++number);
    } while (!taken_.insert(other).second);
    return other;
  }

 private:
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, int> numbers_;  // the last given to each
};

}  // namespace evenkeel::deploy
