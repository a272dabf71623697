// A run folder: config.toml, metrics.jsonl, weights as *.safetensors, TensorBoard events.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/model/config.h>
#include <evenkeel/model/network.h>

namespace evenkeel::model {

/// What else inference needs beside the network: how inputs are prepared and what classes are
/// called.
struct InputRecipe {
  std::vector<float> mean, stddev;  ///< per channel or feature, of values scaled to [0, 1] if u8
  std::vector<std::string> class_names;  ///< empty or one per class
};

struct LoadedNetwork {
  NetworkOptions options;
  InputRecipe recipe;
  bool has_recipe = true;  ///< false where the file says nothing of how inputs are prepared
  std::unique_ptr<nn::Module> network;  ///< in eval mode
  std::map<std::string, std::string> metadata;
  std::filesystem::path file;  ///< that it was read from
  bool from_checkpoint = false;
};

/// What save_network writes beside the tensors. A file that has it in its metadata holds a network,
/// under the names of its state dict or, as in a checkpoint, under these names behind
/// kNetworkPrefix.
std::map<std::string, std::string> network_metadata(const NetworkOptions& options,
                                                    const InputRecipe& recipe);
inline constexpr std::string_view kNetworkPrefix = "network/";
/// The recipe alone, for files in other formats, and what is in such metadata: an empty one where
/// there is none. Throws IoError naming `where` for one that is damaged or does not fit the
/// network.
std::map<std::string, std::string> recipe_metadata(const InputRecipe& recipe);
bool has_recipe(const std::map<std::string, std::string>& metadata);
InputRecipe find_recipe(const std::map<std::string, std::string>& metadata,
                        const NetworkOptions& options, const std::string& where);

/// Writes architecture (as TOML in the metadata), recipe and state dict to one .safetensors file,
/// atomically. Running statistics stay f64.
void save_network(const std::filesystem::path& path, nn::Module& network,
                  const NetworkOptions& options, const InputRecipe& recipe,
                  const std::map<std::string, std::string>& extra = {});
/// Reads a file of save_network, or the network of a checkpoint. IoError naming the file and what
/// is wrong with it.
LoadedNetwork load_network(const std::filesystem::path& path);

/// Paths inside a run folder.
class RunFolder {
 public:
  /// Makes the folder ready to be written (probes it before any training): IoError if it cannot be,
  /// or if it holds a run already and `replace` is false.
  static RunFolder create(const std::filesystem::path& path, bool replace = false);
  /// An existing run; IoError "not a run folder" says which file is missing.
  static RunFolder open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path config() const { return path_ / "config.toml"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path weights() const { return path_ / "final.safetensors"; }
  std::filesystem::path best() const { return path_ / "best.safetensors"; }
  std::filesystem::path ema() const { return path_ / "ema.safetensors"; }
  std::filesystem::path swa() const { return path_ / "swa.safetensors"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path events() const { return path_ / "events"; }

 private:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

/// The checkpoints in a folder, newest first; empty where there is no such folder.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);

/// A run folder's final weights, else its best, else its newest intact checkpoint (`warn` hears of
/// the damaged ones passed over); or a .safetensors file. IoError where there is none of them.
LoadedNetwork load_run(const std::filesystem::path& run_or_file,
                       const std::function<void(const std::string&)>& warn = {});

}  // namespace evenkeel::model
