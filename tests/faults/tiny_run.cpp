#include "faults/tiny_run.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "train/checkpoint.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/random.h>

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AssertionFailure;
using ::testing::AssertionResult;
using ::testing::AssertionSuccess;

constexpr const char* kNetwork = R"(net = "config"
[[layer]]
type = "Linear"
in_features = 4
out_features = 8
[[layer]]
type = "BatchNorm1d"
num_features = 8
[[layer]]
type = "ReLU"
[[layer]]
type = "Dropout"
p = 0.2
[[layer]]
type = "Linear"
in_features = 8
out_features = 3
)";

/// 80 rows of three overlapping classes: 51 to train on, 13 for validation, 16 to test.
std::string rows() {
  std::string text = "a,b,c,d,label\n";
  Random random(3);
  for (int row = 0; row < 80; ++row) {
    const int kind = row % 3;
    for (int column = 0; column < 4; ++column) {
      text += fmt::format("{},", 0.7 * kind + 2 * random.uniform());
    }
    text += fmt::format("{}\n", kind == 0 ? "low" : kind == 1 ? "middle" : "high");
  }
  return text;
}

/// The files that all runs of this process read.
const TemporaryFolder& inputs() {
  static const TemporaryFolder folder;
  static const bool written = [] {
    write_text(folder / "rows.csv", rows());
    write_text(folder / "net.toml", kNetwork);
    return true;
  }();
  (void)written;
  return folder;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

std::string difference(const nn::StateDict& a, const nn::StateDict& b) {
  if (a.size() != b.size()) return fmt::format("{} and {} tensors", a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    const auto it = std::ranges::find(b, name, &nn::StateDict::value_type::first);
    if (it == b.end()) return name + " is missing";
    if (!same_bits(tensor, it->second)) return name + " differs";
  }
  return "";
}

/// Every number of the progress that is not a time, nor depends on how long times are in print.
std::vector<double> numbers_of(train::Progress progress) {
  progress.seconds = progress.epoch_seconds = 0;
  progress.metrics_bytes = 0;
  std::vector<double> numbers;
  train::Progress::each(progress,
                        [&](const auto& value) { numbers.push_back(static_cast<double>(value)); });
  for (const train::EpochRecord& record : progress.history) {
    const train::Evaluation validation = record.validation.value_or(train::Evaluation{});
    for (const double value :
         {static_cast<double>(record.epoch), static_cast<double>(record.step), record.loss,
          record.accuracy, validation.loss, validation.accuracy,
          static_cast<double>(validation.count), record.lr, static_cast<double>(record.skipped)}) {
      numbers.push_back(value);
    }
  }
  for (const train::StepEvaluation& at : progress.evaluations) {
    numbers.push_back(static_cast<double>(at.step));
    numbers.push_back(at.evaluation.loss);
    numbers.push_back(at.evaluation.accuracy);
  }
  return numbers;
}

/// The lines that say how training went, without times.
std::vector<std::string> metrics_of(const fs::path& path) {
  std::vector<std::string> lines;
  std::istringstream text(read_text(path));
  for (std::string line; std::getline(text, line);) {
    nlohmann::json entry = nlohmann::json::parse(line);  // throws for half a line
    const std::string kind = entry.at("kind");
    if (kind != "epoch" && kind != "evaluation" && kind != "step") continue;
    entry.erase("seconds");
    lines.push_back(entry.dump());
  }
  return lines;
}

AssertionResult same_file(const fs::path& a, const fs::path& b) {
  const std::string content = read_text(a);
  if (content.empty()) return AssertionFailure() << a << " is missing or empty";
  if (content != read_text(b)) return AssertionFailure() << a << " and " << b << " differ";
  return AssertionSuccess();
}

AssertionResult same_metrics(const TinyRun& run) {
  try {
    const auto expected = metrics_of(whole_run().folder() / "metrics.jsonl");
    const auto found = metrics_of(run.folder() / "metrics.jsonl");
    if (expected.size() >= 4 && found == expected) return AssertionSuccess();
    return AssertionFailure() << found.size() << " lines of metrics, " << expected.size()
                              << " expected, or others";
  } catch (const nlohmann::json::exception& error) {
    return AssertionFailure() << "the metrics are no JSON: " << error.what();
  }
}

}  // namespace

TinyRun::TinyRun(fs::path folder, int every) : folder_(std::move(folder)), every_(every) {}

fs::path TinyRun::checkpoint(std::int64_t step) const {
  return checkpoints() / fmt::format("step-{:010}.safetensors", step);
}

Invocation TinyRun::begin() const {
  const std::string data = "csv:" + (inputs() / "rows.csv").string();
  Invocation invocation;
  invocation.arguments = {"train",
                          (inputs() / "net.toml").string(),
                          "--data",
                          data,
                          "--epochs",
                          "4",
                          "--batch-size",
                          "8",
                          "--validation",
                          "0.2",
                          "--eval-every",
                          "5",
                          "--threads",
                          "1",
                          "--out",
                          folder_.string(),
                          "--checkpoint-steps",
                          fmt::format("{}", every_)};
  invocation.watched = folder_;
  return invocation;
}

Invocation TinyRun::resume() const {
  Invocation invocation;
  invocation.arguments = {"train", "--out", folder_.string(), "--resume"};
  invocation.watched = folder_;
  return invocation;
}

Invocation TinyRun::go_on() const {
  std::error_code ignored;
  return fs::exists(folder_ / "config.toml", ignored) ? resume() : begin();
}

std::vector<std::int64_t> TinyRun::steps() const {
  std::vector<std::int64_t> steps;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(checkpoints(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("step-", 0) == 0) steps.push_back(std::stoll(name.substr(5)));
  }
  std::ranges::sort(steps, std::greater<>());
  return steps;
}

const TinyRun& whole_run() {
  static const TemporaryFolder folder;
  static const TinyRun whole = [] {
    TinyRun run(folder / "whole");
    Invocation invocation = run.begin();
    // Old checkpoints cannot be removed, so that all stay to compare with.
    invocation.faults = "fail:unlink:3+:EIO";
    const Outcome outcome = testing::run(invocation);
    EXPECT_EQ(outcome.code, 0) << outcome.str();
    EXPECT_EQ(run.steps().size(), static_cast<std::size_t>(TinyRun::kSteps)) << outcome.str();
    return run;
  }();
  return whole;
}

AssertionResult same_checkpoint(const TinyRun& run, std::int64_t step) {
  try {
    const train::Checkpoint found = train::read_checkpoint(run.checkpoint(step));
    const train::Checkpoint expected = train::read_checkpoint(whole_run().checkpoint(step));
    const std::string network = difference(expected.network, found.network);
    const std::string optimizer = difference(expected.optimizer, found.optimizer);
    if (!network.empty()) return AssertionFailure() << "step " << step << ": network: " << network;
    if (!optimizer.empty()) {
      return AssertionFailure() << "step " << step << ": optimizer: " << optimizer;
    }
    if (numbers_of(expected.progress) != numbers_of(found.progress)) {
      return AssertionFailure() << "step " << step << ": the progress differs";
    }
    return AssertionSuccess();
  } catch (const Error& error) {
    return AssertionFailure() << error.what();
  }
}

AssertionResult same_results(const TinyRun& run) {
  for (const char* name : {"final.safetensors", "best.safetensors"}) {
    const AssertionResult same = same_file(run.folder() / name, whole_run().folder() / name);
    if (!same) return same;
  }
  const auto left = temporaries_in(run.folder());
  if (!left.empty()) return AssertionFailure() << left[0] << " was left behind";
  return AssertionSuccess();
}

AssertionResult ended_like_whole(const TinyRun& run) {
  for (const AssertionResult& same :
       {same_results(run), same_checkpoint(run, TinyRun::kSteps), same_metrics(run)}) {
    if (!same) return same;
  }
  return AssertionSuccess();
}

std::vector<fs::path> temporaries_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("step-", 0) != 0 && entry.path().extension() == ".tmp") {
      found.push_back(entry.path());
    }
  }
  return found;
}

std::optional<std::int64_t> resumed_step(const Outcome& outcome) {
  const std::string mark = "resumed from step-";
  const std::size_t at = outcome.out.find(mark);
  if (at == std::string::npos) return std::nullopt;
  return std::stoll(outcome.out.substr(at + mark.size()));
}

AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return AssertionSuccess();
  return AssertionFailure() << "'" << text << "' does not contain '" << part << "'";
}

}  // namespace evenkeel::testing
