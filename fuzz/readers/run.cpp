// A run folder: config.toml and one .safetensors file, which stands for the final weights and for
// the newest checkpoint. An input is the config, a zero byte and the tensors.
#include <cmath>

#include "readers.h"
#include "repair.h"
#include "support.h"
#include "train/checkpoint.h"
#include <evenkeel/io/safetensors.h>
#include <evenkeel/model/checksum.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::fuzz {
namespace {

namespace fs = std::filesystem;

/// Two folders that share their files: one with final weights, one with checkpoints, of which the
/// older is intact.
struct Runs {
  fs::path finished = work_folder() / "finished";
  fs::path stopped = work_folder() / "stopped";
  fs::path config = finished / "config.toml";
  fs::path weights = finished / "final.safetensors";
  fs::path checkpoint = stopped / "checkpoints" / "step-0000000002.safetensors";

  Runs() {
    fs::create_directories(finished);
    fs::create_directories(stopped / "checkpoints");
    write_bytes(config, "");
    write_bytes(weights, "");
    fs::create_hard_link(config, stopped / "config.toml");
    fs::create_hard_link(weights, checkpoint);
    write_bytes(stopped / "checkpoints" / "step-0000000001.safetensors", whole_checkpoint());
  }

  static model::NetworkOptions options() {
    return model::network_options(model::parse_config(
        "input = [2]\nclasses = 2\n[[layer]]\ntype = \"Linear\"\nin_features = 2\n"
        "out_features = 2\n[[layer]]\ntype = \"BatchNorm1d\"\nnum_features = 2\n",
        "seed"));
  }
  static model::InputRecipe recipe() { return {{0.5f, 0.25f}, {1, 2}, {"a", "b\n"}}; }

  static std::string whole_checkpoint() {
    const auto network = model::build_network(options(), 1);
    train::Checkpoint checkpoint;
    checkpoint.network = network->state_dict();
    checkpoint.optimizer = {{"step", Tensor::zeros({1}, DType::i64)}};
    checkpoint.progress.history.resize(2);
    checkpoint.progress.evaluations.resize(1);
    checkpoint.metadata = model::network_metadata(options(), recipe());
    return written("seed.safetensors",
                   [&](const fs::path& path) { train::write_checkpoint(path, checkpoint); });
  }
  static std::string final_weights() {
    const auto network = model::build_network(options(), 1);
    return written("seed.safetensors", [&](const fs::path& path) {
      model::save_network(path, *network, options(), recipe());
    });
  }
};

void check_loaded(const model::LoadedNetwork& loaded) {
  promise(loaded.network != nullptr, "a network is read and is none");
  const std::size_t classes = loaded.recipe.class_names.size();
  promise(classes == 0 || classes == static_cast<std::size_t>(loaded.options.classes),
          "{} class names for {} classes", classes, loaded.options.classes);
  promise(loaded.recipe.mean.size() == loaded.recipe.stddev.size(), "{} means, {} deviations",
          loaded.recipe.mean.size(), loaded.recipe.stddev.size());
}

void read(std::string_view bytes) {
  static const Runs runs;
  const std::size_t cut = std::min(bytes.find('\0'), bytes.size());
  write_bytes(runs.config, bytes.substr(0, cut));
  write_bytes(runs.weights, bytes.substr(std::min(cut + 1, bytes.size())));

  accepts([&] { train::stored_settings(runs.finished); }, Lines::any);
  const bool whole = accepts([&] { check_loaded(model::load_run(runs.finished)); }, Lines::any);
  accepts([&] { train::read_checkpoint(runs.checkpoint); }, Lines::any);
  int warnings = 0;
  const auto warn = [&](const std::string& text) {
    check_message(text, Lines::any);
    ++warnings;
  };
  const model::LoadedNetwork loaded = model::load_run(runs.stopped, warn);
  check_loaded(loaded);
  promise(warnings == (whole ? 0 : 1), "{} warnings about a file that is {}", warnings,
          whole ? "whole" : "damaged");
}

std::string input(const std::string& config, const std::string& weights) {
  return config + '\0' + weights;
}

/// A file of tensors after a change, with a checksum that fits.
template <class F>
std::string changed(const std::string& bytes, F&& change) {
  const fs::path path = work_folder() / "seed.safetensors";
  write_bytes(path, bytes);
  io::TensorFile file = io::read_safetensors(path);
  change(file);
  model::add_checksum(file);
  io::write_safetensors(path, file);
  return read_bytes(path);
}

/// Weights whose network is described by `toml`.
std::string described(const std::string& toml) {
  return changed(Runs::final_weights(),
                 [&](io::TensorFile& file) { file.metadata["evenkeel.network"] = toml; });
}

/// A checkpoint whose records hold `value` throughout.
std::string recorded(double value) {
  return changed(Runs::whole_checkpoint(), [&](io::TensorFile& file) {
    for (auto& [name, tensor] : file.tensors) {
      if (name == "progress/history" || name == "progress/evaluations") tensor.fill(value);
    }
  });
}

std::vector<Seed> seeds() {
  const std::string config = model::to_toml(train::to_config({}));
  const std::string huge = "input = [4]\nclasses = 2\n[[layer]]\ntype = \"Linear\"\n";
  return {
      {"final", input(config, Runs::final_weights())},
      {"checkpoint", input(config, Runs::whole_checkpoint())},
      {"empty", input("", "")},
      {"huge_network",
       input(config, described(huge + "in_features = 1000000\nout_features = 1000000\n"))},
      {"huge_batch_norm",
       input(config, described("input = [4]\n[[layer]]\ntype = \"BatchNorm1d\"\n"
                               "num_features = 1000000000000\naffine = false\n"))},
      {"huge_input", input(config, described("net = \"mlp\"\ninput = [1000000000000]\n"))},
      {"huge_classes",
       input(config, described("net = \"mlp\"\ninput = [2]\nclasses = 999999999\n"))},
      {"large_network", input(config, described("net = \"resnet50\"\ninput = [3, 32, 32]\n"))},
      {"not_toml", input(config, described("= ="))},
      {"counts_that_are_none", input(config, recorded(std::nan("")))},
      {"counts_past_63_bits", input(config, recorded(1e300))},
  };
}

/// Lets the checksum fit what the file holds.
void repair(std::string& bytes) {
  const std::size_t cut = bytes.find('\0');
  if (cut == std::string::npos) return;
  std::string weights = bytes.substr(cut + 1);
  repair_safetensors(weights);
  constexpr std::string_view kKey = "\"evenkeel.crc32c\":\"";
  constexpr std::size_t kDigits = 8;
  const std::size_t at = weights.find(kKey);
  if (at != std::string::npos && weights.size() - at >= kKey.size() + kDigits) {
    try {
      io::TensorFile file = io::read_safetensors(file_of(weights));
      model::add_checksum(file);
      weights.replace(at + kKey.size(), kDigits, file.metadata.at("evenkeel.crc32c"));
    } catch (const Error&) {
      // Not readable: no checksum could fit.
    }
  }
  bytes.replace(cut + 1, std::string::npos, weights);
}

}  // namespace

Target run_target() { return {.reader = "run", .read = read, .seeds = seeds, .repair = repair}; }

}  // namespace evenkeel::fuzz
