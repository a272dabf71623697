// Config files: TOML ↔ named values and layer lists.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <evenkeel/core/options.h>

namespace evenkeel::model {

/// A layer of a config's `[[layer]]` list. `children` holds nested lists: "body" and "shortcut" of
/// a Residual, "0", "1", … of a Concat.
struct LayerSpec {
  std::string type;
  Options options;
  std::vector<std::pair<std::string, std::vector<LayerSpec>>> children;
};

/// The content of a config file: top-level keys, and the layers where the network is not a named
/// one.
struct Config {
  Options values;
  std::vector<LayerSpec> layers;
};

/// Throws IoError naming file, line and column of the first fault (`where` stands for the file in
/// parse_config), UsageError for a value of a kind that no option has.
Config read_config(const std::filesystem::path& path);
Config parse_config(std::string_view toml, std::string_view where);
/// TOML that parse_config reads back to an equal Config; doubles keep all their digits.
std::string to_toml(const Config& config);

}  // namespace evenkeel::model
