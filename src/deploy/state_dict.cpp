// From files to names and tensors.

#include <algorithm>
#include <array>
#include <set>

#include <fmt/ranges.h>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/deploy/state_dict.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/io/torch_checkpoint.h>
#include <evenkeel/model/checksum.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::deploy {
namespace {

namespace fs = std::filesystem;

/// https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html,
/// https://keras.io/api/layers/normalization_layers/batch_normalization/
constexpr std::array kConventions = {
    Convention{"torch", 1e-5, 0.1, 0.1, true},
    Convention{"keras", 1e-3, 1 - 0.99, 0.99, false},
};

/// Under which programs keep the network's state beside other things, the most usual first.
constexpr std::array<std::string_view, 8> kUsualDicts = {
    "state_dict", "model_state_dict", "model",   "model_state",
    "net",        "network",          "weights", "params"};
constexpr std::array<std::string_view, 2> kPrefixes = {"module.", "_orig_mod."};
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kKerasNames{
    {{"gamma", "weight"},
     {"beta", "bias"},
     {"moving_mean", "running_mean"},
     {"moving_variance", "running_var"}}};

std::string paths_of(const std::vector<io::TensorDict>& dicts) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> paths;
  for (const io::TensorDict& dict : dicts) {
    if (paths.size() == kMost) {
      paths.push_back(fmt::format("{} more", dicts.size() - kMost));
      break;
    }
    paths.push_back(dict.path.empty() ? "'' (the outermost)" : fmt::format("'{}'", dict.path));
  }
  return fmt::format("{}", fmt::join(paths, ", "));
}

const io::TensorDict& choose(const std::vector<io::TensorDict>& dicts, const std::string& wanted,
                             const fs::path& path) {
  const auto with_path = [&](std::string_view name) {
    return std::ranges::find(dicts, name, &io::TensorDict::path);
  };
  if (dicts.empty()) fail<IoError>("[state dict] '{}' holds no tensors", path.string());
  if (!wanted.empty()) {
    if (const auto found = with_path(wanted); found != dicts.end()) return *found;
    fail<UsageError>("[state dict] '{}' has no dict '{}' of tensors; it has {}", path.string(),
                     wanted, paths_of(dicts));
  }
  if (dicts.size() == 1) return dicts.front();
  for (const std::string_view name : kUsualDicts) {
    if (const auto found = with_path(name); found != dicts.end()) return *found;
  }
  if (dicts.front().path.empty()) return dicts.front();
  fail<UsageError>(
      "[state dict] '{}' holds several dicts of tensors; name the one of the network: {}",
      path.string(), paths_of(dicts));
}

ReadState read_torch(const fs::path& path, const ReadOptions& options) {
  io::TorchCheckpoint checkpoint = io::read_torch_checkpoint(path);
  const io::TensorDict& dict = choose(checkpoint.dicts, options.dict, path);
  ReadState state{dict.tensors, std::move(checkpoint.notes)};
  if (!dict.path.empty()) {
    state.notes.push_back(fmt::format("of the checkpoint, its dict '{}'", dict.path));
  } else if (checkpoint.dicts.size() > 1) {
    state.notes.push_back("of the checkpoint, its outermost dict");
  }
  return state;
}

ReadState read_safetensors(const fs::path& path, const ReadOptions& options) {
  if (!options.dict.empty()) {
    fail<UsageError>("[state dict] '{}' has no dicts; leave the name '{}' out", path.string(),
                     options.dict);
  }
  io::TensorFile file = io::read_safetensors(path);
  if (file.metadata.contains(model::kChecksumKey)) model::verify_checksum(file, path);
  ReadState state;
  for (auto& [name, tensor] : file.tensors) {
    if (name.starts_with(model::kNetworkPrefix)) {
      state.tensors.emplace_back(name.substr(model::kNetworkPrefix.size()), std::move(tensor));
    }
  }
  if (state.tensors.empty()) {
    state.tensors = std::move(file.tensors);
  } else {
    state.notes.emplace_back("the network of a checkpoint");
  }
  if (state.tensors.empty()) fail<IoError>("[state dict] '{}' holds no tensors", path.string());
  return state;
}

void strip_prefixes(ReadState& state) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix : kPrefixes) {
      const bool all = std::ranges::all_of(state.tensors, [&](const auto& entry) {
        return entry.first.starts_with(prefix) && entry.first.size() > prefix.size();
      });
      if (!all) continue;
      for (auto& [name, tensor] : state.tensors) name.erase(0, prefix.size());
      state.notes.push_back(fmt::format("'{}' stripped from all names", prefix));
      again = true;
    }
  }
}

/// "bn/gamma:0" becomes "bn.weight"; a name without such an end stays.
std::string translated(const std::string& name) {
  std::string plain = name;
  if (plain.ends_with(":0")) plain.resize(plain.size() - 2);
  const std::size_t last = plain.find_last_of("./");
  const std::size_t begin = last == std::string::npos ? 0 : last + 1;
  for (const auto& [keras, torch] : kKerasNames) {
    if (std::string_view(plain).substr(begin) != keras) continue;
    plain.replace(begin, std::string::npos, torch);
    std::ranges::replace(plain, '/', '.');
    return plain;
  }
  return name;
}

void translate_names(ReadState& state, const fs::path& path) {
  std::int64_t renamed = 0;
  std::set<std::string> names;
  for (auto& [name, tensor] : state.tensors) {
    std::string other = translated(name);
    if (other != name) ++renamed;
    name = std::move(other);
    if (!names.insert(name).second) {
      fail<IoError>("[state dict] '{}' has two tensors that are '{}' by PyTorch's names",
                    path.string(), name);
    }
  }
  if (renamed > 0) {
    state.notes.push_back(
        fmt::format("{} name{} of gamma, beta, moving_mean or moving_variance read as PyTorch's",
                    renamed, renamed == 1 ? "" : "s"));
  }
}

}  // namespace

const Convention& convention(std::string_view name) {
  std::vector<std::string> names;
  for (const Convention& known : kConventions) {
    if (known.name == name) return known;
    names.emplace_back(known.name);
  }
  fail<UsageError>("[state dict] the conventions known are {}, not '{}'{}",
                   fmt::join(names, " and "), name, did_you_mean(name, names));
}

std::vector<Convention> conventions() { return {kConventions.begin(), kConventions.end()}; }

ReadState read_state_dict(const fs::path& path, const ReadOptions& options) {
  const bool torch = io::is_torch_checkpoint(path);
  if (!torch && path.extension() != ".safetensors") {
    fail<UsageError>(
        "[state dict] '{}' is no kind of state dict by its name; give a .safetensors, .pt, .pth, "
        ".bin or .ckpt file",
        path.string());
  }
  ReadState state = torch ? read_torch(path, options) : read_safetensors(path, options);
  strip_prefixes(state);
  translate_names(state, path);
  return state;
}

void save_state_dict(const fs::path& path, nn::Module& network) {
  io::TensorFile file;
  file.tensors = network.state_dict(/*exported_only=*/true);
  file.metadata = {{"format", "pt"}};
  io::write_safetensors(path, file);
}

}  // namespace evenkeel::deploy
