#include <string>
#include <vector>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/nn/freeze.h>

namespace evenkeel::nn {
namespace {

/// With the latest * taken as short as it can be; where that fails, it takes one character more.
bool fits(std::string_view text, std::string_view pattern) {
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

int freeze_batch_norm(Module& network, std::string_view pattern, Freeze what) {
  std::vector<BatchNorm*> chosen;
  std::vector<std::string> paths;
  network.visit([&](const std::string& path, Module& module) {
    auto* const layer = dynamic_cast<BatchNorm*>(&module);
    if (layer == nullptr) return;
    paths.push_back(path);
    if (fits(path, pattern)) chosen.push_back(layer);
  });
  if (chosen.empty()) {
    fail<UsageError>(
        "[freeze] none of the {} batch norm layers has a path like '{}'{}; * stands for any text",
        paths.size(), pattern, did_you_mean(pattern, paths));
  }
  for (const BatchNorm* layer : chosen) layer->expect_freezable(what);
  for (BatchNorm* layer : chosen) layer->freeze(what);
  return static_cast<int>(chosen.size());
}

}  // namespace evenkeel::nn
