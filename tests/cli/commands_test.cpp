// Each command does its work.

#include <algorithm>
#include <filesystem>

#include "cli/command.h"
#include <evenkeel/core/tensor.h>
#include <evenkeel/io/image.h>
#include <evenkeel/io/npy.h>

namespace evenkeel {
namespace {

using nlohmann::json;

class Command : public testing::CommandLine {};

TEST_F(Command, EveryCommandHasHelpWithExamples) {
  for (const char* name : {"train", "compare", "eval", "predict", "inspect", "export", "import",
                           "fold", "recalibrate", "doctor", "report", "bench", "info"}) {
    const testing::Outcome outcome = run({name, "--help"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_NE(outcome.out.find(std::string("Usage: evenkeel ") + name), std::string::npos);
    EXPECT_NE(outcome.out.find("Examples:\n  evenkeel"), std::string::npos);
    EXPECT_NE(outcome.out.find("--json"), std::string::npos);
  }
}

TEST_F(Command, HelpFitsATerminal) {
  for (const char* name : {"train", "compare", "eval", "predict", "inspect", "export", "import",
                           "fold", "recalibrate", "doctor", "report", "bench", "info"}) {
    std::istringstream lines(run({name, "--help"}).out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 82U) << line;
  }
}

TEST_F(Command, BenchMeasuresEveryOperationInBothLayouts) {
  const json result = run_json({"bench", "--quick", "--batch", "1", "--threads", "1", "--json"});
  EXPECT_EQ(result["threads"], 1);
  std::map<std::string, int> kinds;
  for (const json& m : result["measurements"]) {
    ++kinds[m["operation"].get<std::string>() + " " + m["layout"].get<std::string>()];
    EXPECT_GT(m["seconds"], 0.0);
    EXPECT_LE(m["seconds"], m["median"]);
    EXPECT_GT(m["onednn"]["seconds"], 0.0);
  }
  EXPECT_EQ(kinds.size(), 6U);
  EXPECT_EQ(run({"bench", "--batch", "0"}).code, 2);
}

TEST_F(Command, VersionIsPrinted) {
  const testing::Outcome outcome = run({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out.rfind("evenkeel ", 0), 0U);
}

TEST_F(Command, TrainWritesARunAndSaysWhatIsNext) {
  const testing::Outcome outcome =
      run({"train", "--data", "glyphs:train=320,test=100", "--epochs", "1", "--out", "a run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("test accuracy"), std::string::npos);
  EXPECT_NE(outcome.out.find("evenkeel eval 'a run'"), std::string::npos);
  EXPECT_EQ(outcome.out.find('\r'), std::string::npos);
  EXPECT_EQ(outcome.err, "");
  for (const char* name : {"config.toml", "metrics.jsonl", "final.safetensors"}) {
    EXPECT_TRUE(std::filesystem::is_regular_file(folder() / "a run" / name)) << name;
  }
}

TEST_F(Command, TrainProbesEverySoManySteps) {
  const testing::Outcome outcome = run({"train", "--data", "glyphs:train=320,test=100", "--epochs",
                                        "1", "--probe-every", "2", "--out", "a run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::istringstream lines(testing::read_text(folder() / "a run/metrics.jsonl"));
  int probes = 0;
  for (std::string line; std::getline(lines, line);) {
    const json entry = json::parse(line);
    if (entry["kind"] != "probe") continue;
    EXPECT_EQ(entry["step"], 2 * ++probes);
    EXPECT_EQ(entry["norms"].begin().value()["output"].size(), 3U);
  }
  EXPECT_EQ(probes, 2);  // of five steps
  EXPECT_EQ(run({"train", "--probe-every", "-1"}).code, 2);
}

TEST_F(Command, FlagsGoBeforeTheConfigFile) {
  testing::write_text(folder() / "a b.toml",
                      "data = \"glyphs:train=320,test=100\"\nepochs = 2\nseed = 5\n");
  const json result = run_json({"train", "a b.toml", "--epochs", "1", "--json", "--out", "a run"});
  EXPECT_EQ(result["epochs"].size(), 1U);
  EXPECT_EQ(result["seed"], 5);
  EXPECT_EQ(result["net"], "mlp");
}

TEST_F(Command, TrainBuildsTheLayersOfAConfigFile) {
  testing::write_text(folder() / "net.toml", R"(
    data = "glyphs:train=320,test=100"
    epochs = 1
    [[layer]]
    type = "Flatten"
    [[layer]]
    type = "Linear"
    in_features = 784
    out_features = 16
    [[layer]]
    type = "BatchNorm1d"
    num_features = 16
    [[layer]]
    type = "ReLU"
    [[layer]]
    type = "Linear"
    in_features = 16
    out_features = 10
  )");
  const json result = run_json({"train", "net.toml", "--json", "--out", "a run"});
  EXPECT_EQ(result["parameters"], 784 * 16 + 16 + 2 * 16 + 16 * 10 + 10);
  EXPECT_EQ(run_json({"eval", "a run", "--json"})["accuracy"], result["accuracy"]);
}

TEST_F(Command, EvalGivesWhatTrainingGave) {
  const json trained = run_json({"train", "--data", "glyphs:train=320,test=100", "--epochs", "1",
                                 "--out", "a run", "--json"});
  const json result = run_json({"eval", "a run", "--json"});
  EXPECT_EQ(result["accuracy"], trained["accuracy"]);
  EXPECT_EQ(result["loss"], trained["loss"]);
  EXPECT_EQ(result["count"], 100);
  EXPECT_GE(result["accuracy"].get<double>(), 0.0);
  EXPECT_LE(result["accuracy"].get<double>(), 1.0);
}

TEST_F(Command, EvalWithBatchStatisticsDiffers) {
  train_small();
  const json running = run_json({"eval", "a run", "--json"});
  const json batch = run_json({"eval", "a run", "--mode", "train", "--batch-size", "20", "--json"});
  EXPECT_NE(running["loss"], batch["loss"]);
  EXPECT_EQ(run_json({"eval", "a run", "--json"}), running);
}

TEST_F(Command, EvalFoldedIsTheSameFunction) {
  run_json({"train", "--data", "glyphs:train=64,test=40", "--net", "convnet", "--epochs", "1",
            "--out", "a run", "--json"});
  const json plain = run_json({"eval", "a run", "--json"});
  const json folded = run_json({"eval", "a run", "--fold", "--json"});
  EXPECT_EQ(folded["accuracy"], plain["accuracy"]);
  EXPECT_NEAR(folded["loss"].get<double>(), plain["loss"].get<double>(), 1e-4);
  EXPECT_EQ(folded["fold"]["folded"].size(), 4U);
  EXPECT_TRUE(folded["fold"]["kept"].empty());
  EXPECT_EQ(folded["fold"]["activations"], 4);
}

TEST_F(Command, EvalTakesOtherDataAndAFileOfWeights) {
  train_small();
  const json other = run_json(
      {"eval", "a run/final.safetensors", "--data", "glyphs:train=10,test=60,seed=9", "--json"});
  EXPECT_EQ(other["count"], 60);
}

TEST_F(Command, PredictClassifiesImages) {
  train_small();
  io::write_image(folder() / "a digit.png", Tensor::full({1, 28, 28}, 7, DType::u8));
  io::write_image(folder() / "large.ppm", Tensor::full({3, 56, 40}, 7, DType::u8));
  const testing::Outcome text = run({"predict", "a run", "a digit.png", "large.ppm"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("probability"), std::string::npos);
  EXPECT_NE(text.out.find("(resized from 56x40, turned grey)"), std::string::npos);
  const json result = run_json({"predict", "a run", "a digit.png", "--top", "10", "--json"});
  const json& top = result["predictions"][0]["top"];
  ASSERT_EQ(top.size(), 10U);
  double sum = 0;
  for (const json& guess : top) sum += guess["probability"].get<double>();
  EXPECT_NEAR(sum, 1.0, 1e-9);
  EXPECT_EQ(result["predictions"][0]["label"], top[0]["label"]);
}

TEST_F(Command, PredictTakesArrays) {
  train_small();
  io::write_npy(folder() / "digits.npy", Tensor::full({3, 1, 28, 28}, 7, DType::u8));
  const json result = run_json({"predict", "a run", "digits.npy", "--json"});
  ASSERT_EQ(result["predictions"].size(), 3U);
  EXPECT_EQ(result["predictions"][2]["row"], 3);
}

TEST_F(Command, PredictTakesRowsWithAndWithoutLabels) {
  std::string labelled = "a,b,label\n";
  std::string plain = "a,b\n";
  for (int i = 0; i < 200; ++i) {
    const int x = (i * 37) % 200;
    labelled += fmt::format("{},{},{}\n", x, 200 - x, x < 100 ? "low" : "high");
    plain += fmt::format("{},{}\n", x, 200 - x);
  }
  testing::write_text(folder() / "labelled.csv", labelled);
  testing::write_text(folder() / "plain.csv", plain);
  const json trained = run_json(
      {"train", "--data", "csv:labelled.csv", "--epochs", "20", "--out", "rows", "--json"});
  EXPECT_GT(trained["accuracy"].get<double>(), 0.9);
  const json with = run_json({"predict", "rows", "labelled.csv", "--json"});
  const json without = run_json({"predict", "rows", "plain.csv", "--json"});
  ASSERT_EQ(with["predictions"].size(), 200U);
  EXPECT_EQ(with["predictions"][0]["label"], "low");
  for (std::size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(with["predictions"][i]["probability"], without["predictions"][i]["probability"]);
  }
}

TEST_F(Command, InspectShowsLayersAndNormalization) {
  train_small();
  const testing::Outcome text = run({"inspect", "a run"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("BatchNorm1d"), std::string::npos);
  EXPECT_NE(text.out.find("235,530 parameters"), std::string::npos);
  const json result = run_json({"inspect", "a run", "--json"});
  EXPECT_EQ(result["parameters"], 235'530);
  bool found = false;
  for (const json& layer : result["layers"]) {
    if (layer["path"] != "2") continue;
    found = true;
    EXPECT_EQ(layer["batches_tracked"], 5);
    EXPECT_LT(layer["gamma"]["min"].get<double>(), layer["gamma"]["max"].get<double>());
    EXPECT_GT(layer["running_var"]["min"].get<double>(), 0.0);
    EXPECT_NE(layer["fused"], "");
  }
  EXPECT_TRUE(found);
}

TEST_F(Command, InspectFitsATerminal) {
  train_small({"--net", "resnet20", "--data", "glyphs:train=64,test=10"});
  std::istringstream lines(run({"inspect", "a run"}).out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto columns = std::count_if(line.begin(), line.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;  // of UTF-8, the first byte of each
    });
    EXPECT_LE(columns, 80) << line;
  }
  EXPECT_GT(count, 60);
}

TEST_F(Command, CompareTrainsBothArms) {
  const json result = run_json({"compare", "--data", "glyphs:train=320,test=100", "--epochs", "2",
                                "--rates", "0.03,0.1", "--out", "a comparison", "--json"});
  ASSERT_EQ(result["arms"].size(), 2U);
  EXPECT_EQ(result["arms"][0]["norm"], "batch");
  EXPECT_EQ(result["arms"][1]["norm"], "none");
  EXPECT_EQ(result["rates"], json({0.03, 0.1}));
  for (const json& arm : result["arms"]) {
    EXPECT_TRUE(arm["lr"] == 0.03 || arm["lr"] == 0.1);
    EXPECT_EQ(arm["steps"], result["arms"][0]["steps"]);
    const json again = run_json({"eval", arm["run"].get<std::string>(), "--json"});
    EXPECT_EQ(again["accuracy"], arm["accuracy"]);
  }
}

TEST_F(Command, CompareTakesNormsAndSeeds) {
  const json result = run_json({"compare", "--data", "glyphs:train=320,test=100", "--epochs", "1",
                                "--rates", "0.03", "--norms", "layer,group:4", "--seeds", "3",
                                "--batch-size", "16", "--out", "norms", "--json"});
  ASSERT_EQ(result["arms"].size(), 2U);
  EXPECT_EQ(result["arms"][0]["norm"], "layer");
  EXPECT_EQ(result["arms"][1]["norm"], "group:4");
  for (const json& arm : result["arms"]) {
    std::vector<double> accuracies = arm["accuracies"];
    ASSERT_EQ(accuracies.size(), 3U);
    std::ranges::sort(accuracies);
    EXPECT_EQ(arm["accuracy"], accuracies[1]);
    EXPECT_NE(accuracies[0], accuracies[2]);
    EXPECT_EQ(arm["steps"], 18);
  }
  EXPECT_TRUE(std::filesystem::exists(folder() / "norms" / "group-4-0.03-seed-3"));
}

TEST_F(Command, InspectListsTensorsOfOtherFiles) {
  io::write_npz(folder() / "a.npz", {{"w", Tensor::from<float>({1, 2, 3, 4}, {2, 2})}});
  const json result = run_json({"inspect", "a.npz", "--json"});
  ASSERT_EQ(result["tensors"].size(), 1U);
  EXPECT_EQ(result["tensors"][0]["name"], "w");
  EXPECT_EQ(result["tensors"][0]["values"]["max"], 4.0);
  EXPECT_EQ(run({"inspect", "a.npz"}).code, 0);
}

TEST_F(Command, InfoSaysWhatWasChosen) {
  const json result = run_json({"info", "--json"});
  EXPECT_FALSE(result["version"].get<std::string>().empty());
  EXPECT_GE(result["threads"].get<int>(), 1);
  EXPECT_FALSE(result["kernels"].get<std::string>().empty());
  ::setenv("EVENKEEL_ISA", "reference", 1);
  EXPECT_EQ(run_json({"info", "--json"})["kernels"], "reference");
  ::setenv("EVENKEEL_FUSION", "0", 1);
  EXPECT_EQ(run_json({"info", "--json"})["fusion"], false);
  ::unsetenv("EVENKEEL_ISA");
  ::unsetenv("EVENKEEL_FUSION");
}

TEST_F(Command, AReaderThatGoesAwayDoesNoHarm) {
  const std::string script = fmt::format(
      "cd '{}' && '{}' train --data glyphs:train=320,test=100 --epochs 3 --out piped 2>err | true",
      folder().string(), EVENKEEL_COMMAND);
  EXPECT_EQ(std::system(script.c_str()), 0);
  EXPECT_EQ(testing::read_text(folder() / "err"), "");
  EXPECT_TRUE(std::filesystem::exists(folder() / "piped/final.safetensors"));
}

}  // namespace
}  // namespace evenkeel
