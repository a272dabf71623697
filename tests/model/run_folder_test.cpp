#include <gtest/gtest.h>

#include "model/support.h"
#include <evenkeel/io/safetensors.h>
#include <evenkeel/model/checksum.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::model {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::random_tensor;
using testing::same_bits;
using testing::TemporaryFolder;
using testing::write_text;

NetworkOptions small_options() {
  NetworkOptions options;
  options.input = Shape{1, 4, 4};
  options.classes = 3;
  return options;
}

/// A network whose running statistics have moved.
std::unique_ptr<nn::Module> trained(const NetworkOptions& options, std::uint64_t seed) {
  auto network = build_network(options, seed);
  (void)network->forward(random_tensor({6, 1, 4, 4}, seed));
  network->clear_saved();
  return network;
}

void save(const fs::path& path, std::uint64_t seed) {
  fs::create_directories(path.parent_path());
  save_network(path, *trained(small_options(), seed), small_options(), {});
}

Tensor output_of(nn::Module& network) {
  network.eval();
  return network.forward(random_tensor({5, 1, 4, 4}, 99));
}

void expect_seed(const fs::path& run, std::uint64_t seed) {
  auto loaded = load_run(run);
  EXPECT_TRUE(same_bits(output_of(*loaded.network), output_of(*trained(small_options(), seed))));
}

TEST(NetworkFile, GivesTheSameBitsBack) {
  const TemporaryFolder folder;
  for (const char* net : {"mlp", "paper-mlp", "convnet", "resnet20"}) {
    NetworkOptions options = small_options();
    options.net = net;
    const auto network = trained(options, 5);
    save_network(folder / "net.safetensors", *network, options, {});
    const LoadedNetwork loaded = load_network(folder / "net.safetensors");
    EXPECT_FALSE(loaded.network->training());
    EXPECT_TRUE(same_bits(output_of(*loaded.network), output_of(*network))) << net;
  }
}

TEST(NetworkFile, KeepsRunningStatisticsInDouble) {
  const TemporaryFolder folder;
  save(folder / "net.safetensors", 1);
  const io::TensorFile file = io::read_safetensors(folder / "net.safetensors");
  const Tensor* mean = file.find("2.running_mean");
  ASSERT_NE(mean, nullptr);
  EXPECT_EQ(mean->dtype(), DType::f64);
}

TEST(NetworkFile, KeepsOptionsRecipeAndMetadata) {
  const TemporaryFolder folder;
  NetworkOptions options = small_options();
  options.eps = 1.0 / 3.0;
  options.placement = Placement::after;
  const InputRecipe recipe{{0.1307F}, {0.3081F}, {"a \"b\"", "ç", "\n"}};
  save_network(folder / "net.safetensors", *trained(options, 1), options, recipe,
               {{"data", "glyphs"}});
  const LoadedNetwork loaded = load_network(folder / "net.safetensors");
  EXPECT_EQ(loaded.options.eps, 1.0 / 3.0);
  EXPECT_EQ(loaded.options.placement, Placement::after);
  EXPECT_EQ(loaded.options.input, (Shape{1, 4, 4}));
  EXPECT_EQ(loaded.recipe.mean, recipe.mean);
  EXPECT_EQ(loaded.recipe.stddev, recipe.stddev);
  EXPECT_EQ(loaded.recipe.class_names, recipe.class_names);
  EXPECT_EQ(loaded.metadata, (std::map<std::string, std::string>{{"data", "glyphs"}}));
}

TEST(NetworkFile, KeepsLayerLists) {
  const TemporaryFolder folder;
  NetworkOptions options = network_options(
      parse_config("[[layer]]\ntype = \"Flatten\"\n[[layer]]\ntype = \"Linear\"\nin_features = "
                   "16\nout_features = 3\n",
                   "test"));
  options.input = Shape{1, 4, 4};
  options.classes = 3;
  const auto network = build_network(options, 4);
  save_network(folder / "net.safetensors", *network, options, {});
  const LoadedNetwork loaded = load_network(folder / "net.safetensors");
  EXPECT_TRUE(same_bits(output_of(*loaded.network), output_of(*network)));
}

/// The fault of a good file after `damage`, which its checksum knows of.
std::string fault_after(const std::function<void(io::TensorFile&)>& damage) {
  const TemporaryFolder folder;
  const fs::path path = folder / "net.safetensors";
  save(path, 1);
  io::TensorFile file = io::read_safetensors(path);
  damage(file);
  add_checksum(file);
  io::write_safetensors(path, file);
  const std::string message = message_of<IoError>([&] { load_network(path); });
  EXPECT_NE(message.find("net.safetensors"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

TEST(NetworkFile, SaysWhatIsWrongWithAFile) {
  EXPECT_NE(fault_after([](auto& f) { f.metadata.clear(); }).find("no evenkeel network"),
            std::string::npos);
  EXPECT_NE(
      fault_after([](auto& f) { f.metadata["evenkeel.format"] = "2"; }).find("format version '2'"),
      std::string::npos);
  EXPECT_NE(fault_after([](auto& f) { f.tensors.pop_back(); }).find("has no tensor"),
            std::string::npos);
  EXPECT_NE(fault_after([](auto& f) {
              f.tensors[0].second = Tensor::zeros({2, 2});
            }).find("'1.weight' has shape [2, 2]"),
            std::string::npos);
  EXPECT_NE(fault_after([](auto& f) { f.metadata["evenkeel.network"] = "net = 3"; }).find("'net'"),
            std::string::npos);
  EXPECT_NE(
      fault_after([](auto& f) { f.metadata["evenkeel.recipe"] = "mean = 3"; }).find("input recipe"),
      std::string::npos);
  EXPECT_NE(fault_after([](auto& f) {
              f.metadata["evenkeel.recipe"] = "mean = [1, 2]\nstddev = [1, 2]\nclass_names = []";
            }).find("does not fit"),
            std::string::npos);
}

TEST(NetworkFile, IsRefusedWhereItsChecksumDoesNotMatchOrIsMissing) {
  const TemporaryFolder folder;
  const fs::path path = folder / "net.safetensors";
  save(path, 1);
  io::TensorFile file = io::read_safetensors(path);
  file.tensors[0].second.data<float>()[0] += 1;
  io::write_safetensors(path, file);
  const std::string changed = message_of<IoError>([&] { load_network(path); });
  EXPECT_NE(changed.find("does not match its checksum"), std::string::npos) << changed;
  file.metadata.erase(kChecksumKey);
  io::write_safetensors(path, file);
  const std::string without = message_of<IoError>([&] { load_network(path); });
  EXPECT_NE(without.find("it has none"), std::string::npos) << without;
}

TEST(RunFolder, IsMadeWithItsParents) {
  const TemporaryFolder folder;
  const RunFolder run = RunFolder::create(folder / "a" / "b c");
  EXPECT_TRUE(fs::is_directory(run.path()));
  EXPECT_TRUE(fs::is_empty(run.path()));
}

TEST(RunFolder, KeepsAnExistingRunUnlessToldOtherwise) {
  const TemporaryFolder folder;
  const RunFolder run = RunFolder::create(folder / "run");
  write_text(run.config(), "net = \"mlp\"\n");
  write_text(run.path() / "notes.txt", "mine");
  save(run.checkpoints() / "1.safetensors", 1);
  EXPECT_NE(message_of<IoError>([&] { RunFolder::create(run.path()); }).find("holds a run already"),
            std::string::npos);
  RunFolder::create(run.path(), true);
  EXPECT_FALSE(fs::exists(run.config()));
  EXPECT_FALSE(fs::exists(run.checkpoints()));
  EXPECT_TRUE(fs::exists(run.path() / "notes.txt"));
}

TEST(RunFolder, RefusesAPathThatCannotBeAFolder) {
  const TemporaryFolder folder;
  write_text(folder / "file", "x");
  EXPECT_THROW(RunFolder::create(folder / "file"), IoError);
  EXPECT_THROW(RunFolder::create(folder / "file/run"), IoError);
}

TEST(LoadRun, SaysWhatIsNotARun) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "x");
  EXPECT_EQ(message_of<IoError>([&] { load_run(folder / "x"); }),
            fmt::format("[run] '{}' is not a run folder: no config.toml; give a folder written by "
                        "'evenkeel train --out'",
                        (folder / "x").string()));
  EXPECT_NE(message_of<IoError>([&] { load_run(folder / "y"); }).find("there is no such"),
            std::string::npos);
  write_text(folder / "x/config.toml", "");
  EXPECT_NE(message_of<IoError>([&] { load_run(folder / "x"); }).find("no weights yet"),
            std::string::npos);
}

/// A checkpoint as a training run writes them: the network's tensors behind a prefix, among others.
void save_checkpoint(const fs::path& path, std::uint64_t seed) {
  fs::create_directories(path.parent_path());
  io::TensorFile file;
  file.metadata = network_metadata(small_options(), {});
  file.tensors = {{"optimizer/step", Tensor::full({1}, 3, DType::i64)}};
  for (const auto& [name, tensor] : trained(small_options(), seed)->state_dict()) {
    file.tensors.emplace_back(std::string(kNetworkPrefix) + name, tensor);
  }
  add_checksum(file);
  io::write_safetensors(path, file);
}

void damage(const fs::path& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(fs::file_size(path) - 100));
  file << "damage";
}

TEST(LoadRun, TakesTheNewestCheckpointWhereThereIsNothingElse) {
  const TemporaryFolder folder;
  const RunFolder run = RunFolder::create(folder / "run");
  write_text(run.config(), "");
  save_checkpoint(run.checkpoints() / "step-0000000009.safetensors", 5);
  save_checkpoint(run.checkpoints() / "step-0000000010.safetensors", 6);
  expect_seed(run.path(), 6);
  expect_seed(run.checkpoints() / "step-0000000009.safetensors", 5);
  const LoadedNetwork loaded = load_run(run.path());
  EXPECT_TRUE(loaded.from_checkpoint);
  EXPECT_EQ(loaded.file, run.checkpoints() / "step-0000000010.safetensors");
  save(run.best(), 3);
  EXPECT_FALSE(load_run(run.path()).from_checkpoint);
  expect_seed(run.path(), 3);
}

TEST(LoadRun, PassesOverDamagedCheckpoints) {
  const TemporaryFolder folder;
  const RunFolder run = RunFolder::create(folder / "run");
  write_text(run.config(), "");
  save_checkpoint(run.checkpoints() / "step-0000000009.safetensors", 5);
  save_checkpoint(run.checkpoints() / "step-0000000010.safetensors", 6);
  damage(run.checkpoints() / "step-0000000010.safetensors");
  std::vector<std::string> warnings;
  const auto loaded =
      load_run(run.path(), [&](const std::string& text) { warnings.push_back(text); });
  EXPECT_EQ(loaded.file, run.checkpoints() / "step-0000000009.safetensors");
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("step-0000000010"), std::string::npos) << warnings[0];
  damage(run.checkpoints() / "step-0000000009.safetensors");
  EXPECT_NE(message_of<IoError>([&] { load_run(run.path()); }).find("none of its 2 checkpoints"),
            std::string::npos);
}

TEST(LoadRun, TakesFinalWeightsThenTheBest) {
  const TemporaryFolder folder;
  const RunFolder run = RunFolder::create(folder / "run");
  write_text(run.config(), "");
  save(run.best(), 3);
  expect_seed(run.path(), 3);
  save(run.weights(), 4);
  expect_seed(run.path(), 4);
  expect_seed(run.best(), 3);
}

}  // namespace
}  // namespace evenkeel::model
