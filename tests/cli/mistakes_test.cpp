// Every mistake gives one line and the right exit code.

#include "cli/command.h"

namespace evenkeel {
namespace {

class Mistake : public testing::CommandLine {};

constexpr int kFailure = 1;
constexpr int kUsage = 2;

TEST_F(Mistake, UnknownCommandSuggestsTheNearest) {
  expect_fault({"trian"}, kUsage, {"no command 'trian'", "did you mean 'train'?"});
  expect_fault({"frobnicate"}, kUsage, {"the commands are train, compare, lab, eval"});
  expect_fault({"my.toml"}, kUsage, {"did you mean 'evenkeel train my.toml'?"});
}

TEST_F(Mistake, NoCommandShowsTheHelp) {
  const testing::Outcome outcome = run({});
  EXPECT_EQ(outcome.code, kUsage);
  EXPECT_NE(outcome.out.find("Commands:"), std::string::npos);
}

TEST_F(Mistake, UnknownFlagSuggestsTheNearest) {
  expect_fault({"train", "--epoch", "3"}, kUsage, {"no flag '--epoch'", "'--epochs'"});
  expect_fault({"eval", "run", "--dta=glyphs"}, kUsage, {"no flag '--dta'", "'--data'"});
  expect_fault({"--vresion"}, kUsage, {"'--version'"});
}

TEST_F(Mistake, MissingOrSurplusArguments) {
  expect_fault({"eval"}, kUsage, {"RUN", "evenkeel eval --help"});
  expect_fault({"predict", "run"}, kUsage, {"FILE"});
  expect_fault({"train", "--lr"}, kUsage, {"--lr"});
  expect_fault({"train", "a.toml", "b.toml"}, kUsage, {"unexpected argument 'b.toml'"});
}

TEST_F(Mistake, ValuesOutOfRange) {
  expect_fault({"train", "--epochs", "none"}, kUsage, {"epochs"});
  expect_fault({"train", "--epochs", "0"}, kUsage, {"epochs"});
  expect_fault({"train", "--lr", "-1"}, kUsage, {"lr"});
  expect_fault({"train", "--placement", "befor"}, kUsage, {"placement", "before"});
  expect_fault({"train", "--net", "resnet21"}, kUsage, {"resnet20"});
  expect_fault({"train", "--data", "glyhps"}, kUsage, {"glyphs"});
  expect_fault({"train", "--threads", "-1"}, kUsage, {"threads"});
  expect_fault({"eval", "run", "--mode", "tain"}, kUsage,
               {"--mode expects eval or train", "'tain'"});
  expect_fault({"eval", "run", "--batch-size", "x"}, kUsage, {"--batch-size", "number", "'x'"});
  expect_fault({"eval", "run", "--mode", "test"}, kUsage, {"--mode"});
  expect_fault({"eval", "run", "--mode", "train", "--fold"}, kUsage,
               {"--fold needs the running statistics", "leave --mode train out"});
}

TEST_F(Mistake, OneValuePerChannel) {
  expect_fault({"train", "--batch-size", "1"}, kUsage, {"batch_size"});
  EXPECT_FALSE(std::filesystem::exists(folder() / "runs"));
}

TEST_F(Mistake, ConfigFaultsNameTheirPlace) {
  testing::write_text(folder() / "a b.toml", "net = \"mlp\"\nepochs = = 2\n");
  expect_fault({"train", "a b.toml"}, kFailure, {"a b.toml:2:10"});
  testing::write_text(folder() / "key.toml", "epoch = 2\n");
  expect_fault({"train", "key.toml"}, kUsage, {"'epoch'", "did you mean 'epochs'?", "key.toml"});
  expect_fault({"train", "none.toml"}, kFailure, {"none.toml"});
}

TEST_F(Mistake, MissingData) {
  expect_fault({"train", "--data", "mnist:no folder"}, kFailure, {"no folder"});
  expect_fault({"train", "--data", "csv:none.csv"}, kFailure, {"none.csv"});
}

TEST_F(Mistake, TruncatedData) {
  const std::filesystem::path data = folder() / "data";
  std::filesystem::create_directory(data);
  using namespace std::string_literals;
  const std::string images = "\0\0\x08\x03\0\0\0\x0a\0\0\0\x1c\0\0\0\x1c"s + std::string(100, 'x');
  const std::string labels = "\0\0\x08\x01\0\0\0\x0a"s + std::string(10, '\1');
  for (const char* part : {"train", "t10k"}) {
    testing::write_text(data / (std::string(part) + "-images-idx3-ubyte"), images);
    testing::write_text(data / (std::string(part) + "-labels-idx1-ubyte"), labels);
  }
  expect_fault({"train", "--data", "mnist:data"}, kFailure, {"images-idx3-ubyte"});
}

TEST_F(Mistake, ConvolutionsOnRows) {
  std::string rows = "a,b,label\n";
  for (int i = 0; i < 40; ++i) rows += fmt::format("{},{},{}\n", i, 40 - i, i % 2);
  testing::write_text(folder() / "rows.csv", rows);
  expect_fault({"train", "--net", "resnet20", "--data", "csv:rows.csv"}, kFailure,
               {"[channels, height, width]", "[2]", "mlp"});
}

TEST_F(Mistake, LayersThatDoNotFit) {
  testing::write_text(folder() / "net.toml",
                      "[[layer]]\ntype = \"Flatten\"\n[[layer]]\ntype = \"Linear\"\nin_features = "
                      "100\nout_features = 10\n");
  expect_fault({"train", "net.toml", "--data", "glyphs:train=64,test=10"}, kFailure,
               {"Linear 1", "784"});
}

TEST_F(Mistake, NotARunFolder) {
  std::filesystem::create_directory(folder() / "x");
  expect_fault({"eval", "x"}, kFailure, {"'x' is not a run folder: no config.toml"});
  expect_fault({"inspect", "y"}, kFailure, {"'y' is not a run folder"});
  expect_fault({"predict", "x", "a.png"}, kFailure, {"not a run folder"});
  testing::write_text(folder() / "rows.csv", "a,b\n1,2\n");
  for (const char* name : {"eval", "inspect"}) {
    expect_fault({name, "rows.csv"}, kFailure, {"'rows.csv' is neither a run folder nor a"});
  }
  testing::write_text(folder() / "z.safetensors", "what");
  expect_fault({"inspect", "z.safetensors"}, kFailure, {"z.safetensors"});
}

TEST_F(Mistake, UnwritableOutputIsFoundBeforeTraining) {
  testing::write_text(folder() / "file", "");
  expect_fault({"train", "--data", "glyphs:train=64,test=10", "--out", "file/run"}, kFailure,
               {"file/run"});
  expect_fault({"train", "--data", "glyphs:train=64,test=10", "--out", "file"}, kFailure, {"file"});
}

TEST_F(Mistake, AnExistingRunIsKept) {
  train_small();
  const std::string before = testing::read_text(folder() / "a run/metrics.jsonl");
  expect_fault({"train", "--data", "glyphs:train=64,test=10", "--out", "a run"}, kFailure,
               {"holds a run already", "--replace"});
  EXPECT_EQ(testing::read_text(folder() / "a run/metrics.jsonl"), before);
}

TEST_F(Mistake, ResumeWithoutARun) {
  expect_fault({"train", "--resume"}, kUsage, {"out"});
  expect_fault({"train", "--resume", "--out", "none"}, kFailure, {"not a run folder"});
}

TEST_F(Mistake, OtherDataThanTheNetworkTakes) {
  train_small();
  std::string rows = "a,b,label\n";
  for (int i = 0; i < 40; ++i) rows += fmt::format("{},{},{}\n", i, 40 - i, i % 2);
  testing::write_text(folder() / "rows.csv", rows);
  expect_fault({"eval", "a run", "--data", "csv:rows.csv"}, kFailure, {"[1, 28, 28]", "[2]"});
  expect_fault({"predict", "a run", "rows.csv"}, kFailure, {"rows.csv", "784"});
  testing::write_text(folder() / "bad.png", "not an image");
  expect_fault({"predict", "a run", "bad.png"}, kFailure, {"bad.png"});
  expect_fault({"predict", "a run", "none.png"}, kFailure, {"none.png"});
  expect_fault({"predict", "a run", "a run"}, kFailure, {"neither an image"});
}

TEST_F(Mistake, AnInterruptedRunExitsAsItsSignalAsksAndCanGoOn) {
  const testing::Outcome outcome = run_interrupted(
      {"train", "--data", "glyphs:train=64,test=10", "--epochs", "100000", "--out", "a run"},
      folder() / "a run/checkpoints");
  EXPECT_EQ(outcome.code, 128 + SIGINT) << outcome.err;
  EXPECT_NE(outcome.out.find("--resume"), std::string::npos) << outcome.out;
  // What it has learned is there to be used.
  const nlohmann::json result = run_json({"eval", "a run", "--json"});
  EXPECT_NE(result["file"].get<std::string>().find("checkpoints/step-"), std::string::npos);
  EXPECT_EQ(result["count"], 10);
  EXPECT_NE(run({"eval", "a run"}).out.find("(a checkpoint)"), std::string::npos);
  const testing::Outcome inspected = run({"inspect", "a run"});
  EXPECT_EQ(inspected.code, 0) << inspected.err;
  EXPECT_NE(inspected.out.find("(a checkpoint)"), std::string::npos);
  EXPECT_EQ(inspected.out.find("optimizer/"), std::string::npos);
  std::filesystem::remove_all(folder() / "a run/checkpoints");
  expect_fault({"eval", "a run"}, kFailure, {"no weights yet", "--resume"});
}

TEST_F(Mistake, CompareRefusesBadRatesAndEpochs) {
  for (const char* rates : {"0.1,0", "-1", "nan", "inf"}) {
    expect_fault({"compare", std::string("--rates=") + rates}, kUsage, {"--rates", "above 0"});
  }
  expect_fault({"compare", "--rates", "fast"}, kUsage, {"--rates", "number", "'fast'"});
  expect_fault({"compare", "--seed", "-1"}, kUsage, {"--seed", "0 or more"});
  expect_fault({"compare", "--seeds", "0"}, kUsage, {"--seeds", "1 to 1000"});
  expect_fault({"compare", "--batch-size", "1"}, kUsage, {"--batch-size", "2 or more"});
  expect_fault({"compare", "--norms", "batch,lajer"}, kUsage, {"'lajer'", "'layer'"});
  expect_fault({"compare", "--epochs", "0"}, kUsage, {"--epochs", "1 or more"});
  expect_fault({"compare", "--rate", "0.1"}, kUsage, {"no flag '--rate'", "'--rates'"});
  expect_fault({"compare", "--net", "mpl", "--data", "glyphs:train=64,test=10"}, kUsage, {"'mlp'"});
  EXPECT_FALSE(std::filesystem::exists(folder() / "runs"));
}

TEST_F(Mistake, AFullDiskUnderStandardOutputIsReported) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
  const testing::Outcome outcome = run({"info"}, "/dev/full");
  EXPECT_EQ(outcome.code, kFailure);
  EXPECT_NE(outcome.err.find("standard output cannot be written"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel
