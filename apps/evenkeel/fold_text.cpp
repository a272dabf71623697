#include "fold_text.h"

#include <fmt/format.h>

namespace evenkeel::app {

Table fold_table(const nn::FoldReport& report) {
  Table table({{"layer"}, {"result"}});
  for (const auto& [layer, into, behind] : report.folded) {
    table.add(
        {layer, fmt::format("folded into {}{}", into, behind ? ", which comes behind it" : "")});
  }
  for (const auto& [norm, reason] : report.kept) {
    table.add({norm, "stays: " + reason});
  }
  if (table.empty()) table.add({"none", "there is nothing to fold"});
  return table;
}

Json fold_json(const nn::FoldReport& report) {
  Json folded = Json::array(), kept = Json::array();
  for (const auto& [layer, into, behind] : report.folded) {
    folded.push_back({{"layer", layer}, {"into", into}, {"behind", behind}});
  }
  for (const auto& [norm, reason] : report.kept) {
    kept.push_back({{"norm", norm}, {"reason", reason}});
  }
  return {{"folded", folded},
          {"kept", kept},
          {"activations", report.activations},
          {"sums", report.sums}};
}

}  // namespace evenkeel::app
