#include "fold_text.h"

#include <fmt/format.h>

#include <evenkeel/core/error.h>

namespace evenkeel::app {

Table fold_table(const nn::FoldReport& report) {
  Table table({{"layer"}, {"result"}});
  for (const auto& [layer, into, behind] : report.folded) {
    table.add(
        {layer, fmt::format("folded into {}{}", into, behind ? ", which comes behind it" : "")});
  }
  for (const nn::FoldReport::Kept& kept : report.kept) {
    table.add({kept.norm, "stays: " + kept.reason});
  }
  if (table.empty()) table.add({"none", "there is nothing to fold"});
  return table;
}

void expect_sound(std::string_view command, const nn::FoldReport& report) {
  for (const nn::FoldReport::Kept& kept : report.kept) {
    if (kept.faulty) fail<Error>("[{}] batch norm '{}': {}", command, kept.norm, kept.reason);
  }
}

Json fold_json(const nn::FoldReport& report) {
  Json folded = Json::array(), kept = Json::array();
  for (const auto& [layer, into, behind] : report.folded) {
    folded.push_back({{"layer", layer}, {"into", into}, {"behind", behind}});
  }
  for (const nn::FoldReport::Kept& one : report.kept) {
    kept.push_back({{"norm", one.norm}, {"reason", one.reason}});
  }
  return {{"folded", folded},
          {"kept", kept},
          {"activations", report.activations},
          {"sums", report.sums}};
}

}  // namespace evenkeel::app
