// A network in one .safetensors file: architecture and recipe in the metadata, state as tensors.

#include <algorithm>

#include "model/construct.h"
#include "model/network_size.h"
#include "model/recipe_text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/model/checksum.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::model {
namespace {

constexpr const char* kFormatKey = "evenkeel.format";
constexpr const char* kNetworkKey = "evenkeel.network";
constexpr const char* kRecipeKey = "evenkeel.recipe";
constexpr std::string_view kFormat = "1";

const std::string& require(const io::TensorFile& file, const char* key, const std::string& where) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end()) {
    fail<IoError>(
        "[model] '{}' holds tensors but no evenkeel network (its metadata lacks {}); give a file "
        "of a run folder, or make one of it with 'evenkeel import'",
        where, key);
  }
  return it->second;
}

void check_format(const io::TensorFile& file, const std::string& where) {
  const std::string& format = require(file, kFormatKey, where);
  if (format != kFormat) {
    fail<IoError>("[model] '{}' has format version '{}', this program reads '{}'; use a newer one",
                  where, format, kFormat);
  }
}

/// The per-channel numbers must fit the input, or preparing inputs would read past them.
void check_recipe(const InputRecipe& recipe, const NetworkOptions& options,
                  const std::string& where) {
  const auto channels = static_cast<std::size_t>(options.input.rank() > 0 ? options.input[0] : 0);
  const bool counts = recipe.mean.size() == recipe.stddev.size() &&
                      (recipe.mean.empty() || recipe.mean.size() == channels);
  const bool names = recipe.class_names.empty() ||
                     recipe.class_names.size() == static_cast<std::size_t>(options.classes);
  if (!counts || !names) {
    fail<IoError>("[model] '{}': the input recipe does not fit the network; the file is damaged",
                  where);
  }
}

bool is_checkpoint(const io::TensorFile& file) {
  return std::ranges::any_of(
      file.tensors, [](const auto& entry) { return entry.first.starts_with(kNetworkPrefix); });
}

/// A network that the file's tensors are far from filling is refused before it takes memory; what
/// is missing of another is said by name.
void check_room(const NetworkOptions& options, const nn::StateDict& state,
                const std::string& where) {
  std::uint64_t values = 0;
  for (const auto& [name, tensor] : state) values += static_cast<std::uint64_t>(tensor.numel());
  const std::uint64_t least = least_values(options);
  constexpr std::uint64_t kFew = 1 << 16;
  if (least > kFew && least / 4 > values) {
    fail<IoError>(
        "[model] '{}' describes a network of {} values or more, but holds {}; the file is damaged",
        where, least, values);
  }
}

/// The network's tensors under their own names; a checkpoint's others are left out.
nn::StateDict network_tensors(const io::TensorFile& file) {
  if (!is_checkpoint(file)) return file.tensors;
  nn::StateDict state;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with(kNetworkPrefix)) {
      state.emplace_back(name.substr(kNetworkPrefix.size()), tensor);
    }
  }
  return state;
}

LoadedNetwork rebuild(const io::TensorFile& file, const std::string& where) {
  LoadedNetwork loaded;
  loaded.options = network_options(parse_config(require(file, kNetworkKey, where), where));
  loaded.recipe = parse_recipe(require(file, kRecipeKey, where), where);
  check_recipe(loaded.recipe, loaded.options, where);
  loaded.metadata = file.metadata;
  for (const char* key : {kFormatKey, kNetworkKey, kRecipeKey, kChecksumKey}) {
    loaded.metadata.erase(key);
  }
  const nn::StateDict state = network_tensors(file);
  check_room(loaded.options, state, where);
  loaded.network = construct_network(loaded.options);
  loaded.network->load_state_dict(state);
  loaded.network->eval();
  loaded.file = where;
  loaded.from_checkpoint = is_checkpoint(file);
  return loaded;
}

}  // namespace

std::map<std::string, std::string> network_metadata(const NetworkOptions& options,
                                                    const InputRecipe& recipe) {
  Config config;
  put_network_options(options, config);
  return {{kFormatKey, std::string(kFormat)},
          {kNetworkKey, to_toml(config)},
          {kRecipeKey, to_text(recipe)}};
}

std::map<std::string, std::string> recipe_metadata(const InputRecipe& recipe) {
  return {{kRecipeKey, to_text(recipe)}};
}

bool has_recipe(const std::map<std::string, std::string>& metadata) {
  return metadata.contains(kRecipeKey);
}

InputRecipe find_recipe(const std::map<std::string, std::string>& metadata,
                        const NetworkOptions& options, const std::string& where) {
  const auto text = metadata.find(kRecipeKey);
  if (text == metadata.end()) return {};
  InputRecipe recipe = parse_recipe(text->second, where);
  check_recipe(recipe, options, where);
  return recipe;
}

void save_network(const std::filesystem::path& path, nn::Module& network,
                  const NetworkOptions& options, const InputRecipe& recipe,
                  const std::map<std::string, std::string>& extra) {
  io::TensorFile file;
  file.metadata = network_metadata(options, recipe);
  file.metadata.insert(extra.begin(), extra.end());
  file.tensors = network.state_dict();
  add_checksum(file);
  io::write_safetensors(path, file);
}

LoadedNetwork load_network(const std::filesystem::path& path) {
  const io::TensorFile file = io::read_safetensors(path);
  const std::string where = path.string();
  check_format(file, where);
  verify_checksum(file, path);
  try {
    return rebuild(file, where);
  } catch (const IoError&) {
    throw;  // names the file already
  } catch (const Error& error) {
    fail<IoError>("[model] '{}' does not hold the network that it describes: {}", where,
                  error.what());
  }
}

}  // namespace evenkeel::model
