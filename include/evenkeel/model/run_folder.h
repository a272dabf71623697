// A run folder: config.toml, metrics.jsonl, weights as *.safetensors, TensorBoard events.
#pragma once

#include <evenkeel/model/config.h>
#include <evenkeel/model/network.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace evenkeel::model {

/// What else inference needs beside the network: how inputs are prepared and what classes are called.
struct InputRecipe {
  std::vector<float> mean, stddev;       ///< per channel or feature, of values scaled to [0, 1] if u8
  std::vector<std::string> class_names;  ///< empty or one per class
};

struct LoadedNetwork {
  NetworkOptions options;
  InputRecipe recipe;
  std::unique_ptr<nn::Module> network;  ///< in eval mode
  std::map<std::string, std::string> metadata;
};

/// Writes architecture (as TOML in the metadata), recipe and state dict to one .safetensors file,
/// atomically. Running statistics stay f64.
void save_network(const std::filesystem::path& path, nn::Module& network,
                  const NetworkOptions& options, const InputRecipe& recipe,
                  const std::map<std::string, std::string>& extra = {});
/// IoError or Error naming the file and what is wrong with it.
LoadedNetwork load_network(const std::filesystem::path& path);

/// Paths inside a run folder.
class RunFolder {
 public:
  /// Makes the folder ready to be written (probes it before any training): IoError if it cannot be, or
  /// if it holds a run already and `replace` is false.
  static RunFolder create(const std::filesystem::path& path, bool replace = false);
  /// An existing run; IoError "not a run folder" says which file is missing.
  static RunFolder open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path config() const { return path_ / "config.toml"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path weights() const { return path_ / "final.safetensors"; }
  std::filesystem::path best() const { return path_ / "best.safetensors"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path events() const { return path_ / "events"; }

 private:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

/// A run folder's final weights, else its best; or a .safetensors file. IoError where there is none,
/// as in a run that was interrupted (its checkpoints are for resuming).
LoadedNetwork load_run(const std::filesystem::path& run_or_file);

}  // namespace evenkeel::model
