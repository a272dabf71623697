#include <string>
#include <vector>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/nn/find.h>

namespace evenkeel::nn {

Module& find(Module& network, std::string_view path) {
  Module* found = nullptr;
  std::vector<std::string> paths;
  network.visit([&](const std::string& at, Module& module) {
    if (at == path && found == nullptr) found = &module;
    if (!at.empty()) paths.push_back(at);
  });
  if (found != nullptr) return *found;
  const std::string hint = did_you_mean(path, paths);
  fail<UsageError>("[{}] expected the path of one of {} modules, got '{}'{}", network.label(),
                   paths.size(), path, hint.empty() ? "; 'evenkeel inspect' lists them" : hint);
}

}  // namespace evenkeel::nn
