// Weights of others, by name, from the command line.
#include "command.h"
#include "io/torch_file.h"
#include <evenkeel/io/safetensors.h>

namespace evenkeel {
namespace {

using nlohmann::json;

class ImportCommand : public testing::CommandLine {
 protected:
  /// The run's weights as torch.save would have written them, but for one tensor.
  void write_torch_file(const std::string& without = "", const std::string& prefix = "module.") {
    std::vector<std::pair<std::string, Tensor>> tensors;
    const io::TensorFile weights = io::read_safetensors(folder() / "weights.safetensors");
    for (const auto& [name, tensor] : weights.tensors) {
      if (name != without) tensors.emplace_back(prefix + name, tensor);
    }
    testing::write_text(folder() / "weights.pt", testing::torch_state_bytes(tensors));
  }
  void SetUp() override {
    train_small();
    ASSERT_EQ(run({"export", "a run", "-o", "weights.safetensors"}).code, 0);
    write_torch_file();
  }
};

TEST_F(ImportCommand, imported_weights_evaluate_as_the_run) {
  const json whole = run_json({"eval", "a run", "--json"});
  for (const char* weights : {"weights.safetensors", "weights.pt"}) {
    const json report =
        run_json({"import", weights, "--into", "a run", "-o", "new.safetensors", "--json"});
    EXPECT_EQ(report["missing"], json::array());
    EXPECT_EQ(report["loaded"].size(), 14U);
    EXPECT_EQ(report["eps"], 1e-5);
    const json again =
        run_json({"eval", "new.safetensors", "--data", "glyphs:train=320,test=100", "--json"});
    EXPECT_EQ(again["loss"], whole["loss"]);
  }
}

TEST_F(ImportCommand, a_network_is_described_by_flags) {
  const testing::Outcome outcome =
      run({"import", "weights.pt", "--net", "mlp", "--input", "1,28,28", "--mean", "0.1", "--std",
           "0.3", "-o", "new.safetensors"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("14 tensors"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("'module.' stripped"), std::string::npos) << outcome.out;
  EXPECT_EQ(run({"inspect", "new.safetensors"}).code, 0);
}

TEST_F(ImportCommand, the_convention_of_the_source_is_said_and_set) {
  const json keras =
      run_json({"import", "weights.pt", "--into", "a run", "--from", "keras", "--json"});
  EXPECT_EQ(keras["eps"], 1e-3);
  EXPECT_NEAR(keras["momentum"].get<double>(), 0.01, 1e-15);
  const json given = run_json({"import", "weights.pt", "--into", "a run", "--from", "keras",
                               "--eps", "0.01", "--decay", "0.9", "--json"});
  EXPECT_EQ(given["eps"], 0.01);
  EXPECT_NEAR(given["momentum"].get<double>(), 0.1, 1e-15);
}

TEST_F(ImportCommand, what_does_not_fit_is_reported_and_not_written) {
  write_torch_file("7.bias");
  expect_fault({"import", "weights.pt", "--into", "a run", "-o", "new.safetensors"}, 2,
               {"13 of 13 tensors fit", "1 is missing ('7.bias')", "--partial"});
  EXPECT_FALSE(std::filesystem::exists(folder() / "new.safetensors"));
  const testing::Outcome report = run({"import", "weights.pt", "--into", "a run"});
  EXPECT_EQ(report.code, 0);
  EXPECT_NE(report.out.find("missing"), std::string::npos) << report.out;
  const json partial = run_json(
      {"import", "weights.pt", "--into", "a run", "--partial", "-o", "new.safetensors", "--json"});
  EXPECT_EQ(partial["missing"], json::array({"7.bias"}));
  EXPECT_TRUE(std::filesystem::exists(folder() / "new.safetensors"));
}

TEST_F(ImportCommand, layers_of_other_names_match_in_order) {
  write_torch_file("", "layer");
  expect_fault({"import", "weights.pt", "--into", "a run", "-o", "new.safetensors"}, 2,
               {"0 of 14 tensors fit", "--match order"});
  const json report = run_json({"import", "weights.pt", "--into", "a run", "--match", "order", "-o",
                                "new.safetensors", "--json"});
  EXPECT_EQ(report["loaded"].size(), 14U);
  expect_fault({"import", "weights.safetensors", "--into", "a run", "--match", "order"}, 2,
               {"does not keep the order"});
  write_torch_file("7.bias", "layer");
  expect_fault({"import", "weights.pt", "--into", "a run", "--match", "order"}, 2, {"weights.pt"});
}

TEST_F(ImportCommand, inspect_lists_the_tensors_of_a_checkpoint) {
  const json list = run_json({"inspect", "weights.pt", "--json"});
  EXPECT_EQ(list["tensors"].size(), 14U);
  EXPECT_EQ(list["tensors"][0]["name"], "module.1.weight");
}

TEST_F(ImportCommand, a_damaged_file_of_our_own_is_found_by_its_checksum) {
  std::string bytes = testing::read_text(folder() / "a run/final.safetensors");
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  testing::write_text(folder() / "damaged.safetensors", bytes);
  expect_fault({"import", "damaged.safetensors", "--into", "a run"}, 1,
               {"damaged.safetensors", "checksum"});
}

TEST_F(ImportCommand, mistakes_are_named) {
  expect_fault({"import", "weights.pt"}, 2, {"--net and --input"});
  expect_fault({"import", "weights.h5", "--into", "a run"}, 2, {".safetensors, .pt"});
  expect_fault({"import", "weights.pt", "--into", "a run", "--net", "mlp"}, 2, {"--into"});
  expect_fault({"import", "weights.pt", "--into", "a run", "-o", "x.pt"}, 2, {".safetensors"});
  expect_fault({"import", "weights.pt", "--into", "a run", "--dict", "x"}, 2, {"'x'", "outermost"});
  expect_fault({"import", "weights.pt", "--into", "a run", "--momentum", "0.1", "--decay", "0.9"},
               2, {"--decay"});
  expect_fault(
      {"import", "weights.pt", "--net", "convnet", "--input", "1,28,28", "-o", "x.safetensors"}, 2,
      {"of another shape"});
  testing::write_text(folder() / "bad.pt", "nothing");
  expect_fault({"import", "bad.pt", "--into", "a run"}, 1, {"bad.pt", "torch.save"});
  expect_fault({"export", "a run", "-o", "x.safetensors", "--fold"}, 2, {"--fold"});
}

}  // namespace
}  // namespace evenkeel
