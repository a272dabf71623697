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
  expect_fault({"import", "weights.pt", "--into", "a run", "-o", "new.safetensors"}, 1,
               {"13 of 13 tensors fit", "1 is missing ('7.bias')", "--partial"});
  EXPECT_FALSE(std::filesystem::exists(folder() / "new.safetensors"));
  const testing::Outcome report = run({"import", "weights.pt", "--into", "a run"});
  EXPECT_EQ(report.code, 1);
  EXPECT_NE(report.out.find("missing"), std::string::npos) << report.out;
  const json partial = run_json(
      {"import", "weights.pt", "--into", "a run", "--partial", "-o", "new.safetensors", "--json"});
  EXPECT_EQ(partial["missing"], json::array({"7.bias"}));
  EXPECT_TRUE(std::filesystem::exists(folder() / "new.safetensors"));
}

TEST_F(ImportCommand, weights_of_another_network_do_not_fit_with_or_without_an_output) {
  write_torch_file("", "other.");
  for (const std::vector<std::string>& more : {std::vector<std::string>{},
                                               {"--partial"},
                                               {"-o", "x.safetensors"},
                                               {"--partial", "-o", "x.safetensors"}}) {
    std::vector<std::string> words{"import", "weights.pt", "--into", "a run"};
    words.insert(words.end(), more.begin(), more.end());
    const testing::Outcome outcome = run(words);
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_EQ(outcome.out.find("without num_batches_tracked"), std::string::npos) << outcome.out;
  }
}

TEST_F(ImportCommand, the_numbers_said_are_those_of_the_layers) {
  const std::string listed =
      "input = [1, 28, 28]\n[[layer]]\ntype = \"Flatten\"\n"
      "[[layer]]\ntype = \"Linear\"\nin_features = 784\nout_features = 4\n"
      "[[layer]]\ntype = \"BatchNorm1d\"\nnum_features = 4\n{}"
      "[[layer]]\ntype = \"Linear\"\nin_features = 4\nout_features = 4\n"
      "[[layer]]\ntype = \"BatchNorm1d\"\nnum_features = 4\n"
      "[[layer]]\ntype = \"Linear\"\nin_features = 4\nout_features = 10\n";
  const auto write = [&](const std::string& first) {
    testing::write_text(folder() / "net.toml", fmt::format(fmt::runtime(listed), first));
  };
  // Nothing of the file fits, which the report survives.
  const auto report = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"import",   "weights.pt", "--config",
                                   "net.toml", "--partial",  "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return json::parse(run(words).out);
  };
  write("");
  EXPECT_EQ(report({})["eps"], 1e-5);
  EXPECT_EQ(report({"--from", "keras"})["eps"], 1e-3);
  EXPECT_NEAR(report({"--from", "keras"})["momentum"].get<double>(), 0.01, 1e-15);
  write("eps = 0.01\nmomentum = 0.3\n");
  EXPECT_EQ(report({})["eps"], nullptr);
  EXPECT_EQ(report({})["norms"][0]["eps"], 0.01);
  EXPECT_EQ(report({})["norms"][1]["eps"], 1e-5);
  const json given = report({"--eps", "0.25", "--decay", "0.5"});
  EXPECT_EQ(given["eps"], 0.25);
  EXPECT_EQ(given["momentum"], 0.5);
  const testing::Outcome text = run({"import", "weights.pt", "--config", "net.toml"});
  EXPECT_NE(text.out.find("eps differs by layer: 0.01 in 2; 1e-05 in 4"), std::string::npos)
      << text.out;
}

TEST_F(ImportCommand, listed_layers_take_the_numbers_of_their_training) {
  testing::write_text(folder() / "net.toml",
                      "data = \"glyphs:train=128,test=64\"\nepochs = 1\neps = 0.5\n"
                      "momentum = 0.3\n[[layer]]\ntype = \"Flatten\"\n"
                      "[[layer]]\ntype = \"Linear\"\nin_features = 784\nout_features = 10\n"
                      "[[layer]]\ntype = \"BatchNorm1d\"\nnum_features = 10\n");
  ASSERT_EQ(run({"train", "net.toml", "--out", "listed"}).code, 0);
  const json written = run_json({"export", "listed", "-o", "l.safetensors", "--json"});
  EXPECT_EQ(written["eps"], 0.5);
  EXPECT_EQ(written["momentum"], 0.3);
  const testing::Outcome text = run({"export", "listed", "-o", "l.safetensors"});
  EXPECT_NE(text.out.find("eps 0.5, which it does not hold"), std::string::npos) << text.out;
  // As a model the layers alone have it.
  ASSERT_EQ(run({"export", "listed", "-o", "l.onnx"}).code, 0);
  const testing::Outcome again = run({"export", "l.onnx", "-o", "again.safetensors"});
  EXPECT_NE(again.out.find("eps 0.5, which it does not hold"), std::string::npos) << again.out;
}

TEST_F(ImportCommand, a_bias_before_a_batch_norm_is_absorbed) {
  testing::write_text(folder() / "net.toml",
                      "data = \"glyphs:train=320,test=100\"\nepochs = 1\n"
                      "[[layer]]\ntype = \"Flatten\"\n"
                      "[[layer]]\ntype = \"Linear\"\nin_features = 784\nout_features = 256\n"
                      "[[layer]]\ntype = \"BatchNorm1d\"\nnum_features = 256\n"
                      "[[layer]]\ntype = \"ReLU\"\n"
                      "[[layer]]\ntype = \"Linear\"\nin_features = 256\nout_features = 128\n"
                      "[[layer]]\ntype = \"BatchNorm1d\"\nnum_features = 128\n"
                      "[[layer]]\ntype = \"ReLU\"\n"
                      "[[layer]]\ntype = \"Linear\"\nin_features = 128\nout_features = 10\n");
  ASSERT_EQ(run({"train", "net.toml", "--out", "biased"}).code, 0);
  const json before = run_json({"eval", "biased", "--json"});
  ASSERT_EQ(run({"export", "biased", "-o", "weights.safetensors"}).code, 0);
  write_torch_file();
  const json report = run_json(
      {"import", "weights.pt", "--net", "mlp", "--input", "1,28,28", "-o", "new.safetensors",
       "--mean", fmt::format("{}", before["normalization"]["mean"][0].get<double>()), "--std",
       fmt::format("{}", before["normalization"]["std"][0].get<double>()), "--json"});
  EXPECT_EQ(report["absorbed"], json::array({"1.bias", "4.bias"}));
  EXPECT_EQ(report["unexpected"], json::array());
  const json after =
      run_json({"eval", "new.safetensors", "--data", "glyphs:train=320,test=100", "--json"});
  EXPECT_NEAR(after["loss"].get<double>(), before["loss"].get<double>(), 1e-5);
}

TEST_F(ImportCommand, layers_of_other_names_match_in_order) {
  write_torch_file("", "layer");
  expect_fault({"import", "weights.pt", "--into", "a run", "-o", "new.safetensors"}, 1,
               {"0 of 14 tensors fit", "--match order"});
  const json report = run_json({"import", "weights.pt", "--into", "a run", "--match", "order", "-o",
                                "new.safetensors", "--json"});
  EXPECT_EQ(report["loaded"].size(), 14U);
  expect_fault({"import", "weights.safetensors", "--into", "a run", "--match", "order"}, 2,
               {"does not keep the order"});
  write_torch_file("7.bias", "layer");
  expect_fault({"import", "weights.pt", "--into", "a run", "--match", "order"}, 1, {"weights.pt"});
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
      {"import", "weights.pt", "--net", "convnet", "--input", "1,28,28", "-o", "x.safetensors"}, 1,
      {"of another shape"});
  testing::write_text(folder() / "bad.pt", "nothing");
  expect_fault({"import", "bad.pt", "--into", "a run"}, 1, {"bad.pt", "torch.save"});
  expect_fault({"export", "a run", "-o", "x.safetensors", "--fold"}, 2, {"--fold"});
  for (const char* deviation : {"0", "-1", "nan", "inf"}) {
    expect_fault({"import", "weights.pt", "--into", "a run", "--mean", "0.1",
                  fmt::format("--std={}", deviation)},
                 2, {"[import] --std must be finite numbers above 0"});
  }
  expect_fault({"import", "weights.pt", "--into", "a run", "--mean", "nan", "--std", "1"}, 2,
               {"--mean must be finite"});
}

TEST_F(ImportCommand, what_is_read_is_not_overwritten) {
  const std::vector<std::string> into{"import", "weights.safetensors", "--into", "a run", "-o"};
  for (const char* output : {"weights.safetensors", "./weights.safetensors",
                             "a run/final.safetensors", "a run/checkpoints/x.safetensors"}) {
    std::vector<std::string> words = into;
    words.emplace_back(output);
    expect_fault(words, 2, {"would overwrite"});
  }
  const std::string before = testing::read_text(folder() / "a run/final.safetensors");
  for (const char* command : {"export", "fold", "recalibrate"}) {
    expect_fault({command, "a run", "-o", "a run/final.safetensors"}, 2,
                 {command, "would overwrite what the run keeps there"});
    expect_fault({command, "a run/final.safetensors", "-o", "a run/../a run/final.safetensors"}, 2,
                 {"would overwrite what is read"});
  }
  EXPECT_EQ(testing::read_text(folder() / "a run/final.safetensors"), before);
}

TEST_F(ImportCommand, other_commands_say_that_files_of_others_are_imported) {
  for (const char* command : {"eval", "doctor"}) {
    expect_fault({command, "weights.pt"}, 1, {"evenkeel import weights.pt"});
    expect_fault({command, "weights.safetensors"}, 1, {"evenkeel import"});
  }
  testing::write_text(folder() / "model.h5", "what");
  expect_fault({"export", "model.h5", "-o", "x.onnx"}, 1, {".onnx", "evenkeel import"});
}

}  // namespace
}  // namespace evenkeel
