// Small runs for tests: a folder that goes away, data that is quickly learned, settings to match.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include <evenkeel/core/error.h>
#include <evenkeel/data/glyphs.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/train/train.h>

namespace evenkeel::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> counter{0};
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("evenkeel-train-test-{}-{}", ::getpid(), counter++);
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// 320 digits to train on, 80 to validate and 100 to test; copies share nothing that tests change.
inline data::Splits tiny_splits(bool validation = false) {
  static const data::Dataset all = data::make_glyphs(500, 3);
  data::Splits splits;
  splits.train = all.slice(0, 320);
  if (validation) splits.validation = all.slice(320, 400);
  splits.test = all.slice(400, 500);
  return splits;
}

/// Three epochs of ten steps with everything that has a state: dropout, momentum, a schedule.
inline train::Settings tiny_settings(const std::filesystem::path& out) {
  train::Settings settings;
  settings.net = "mlp";
  settings.data = "tiny";
  settings.epochs = 3;
  settings.batch_size = 32;
  settings.dropout = 0.2;
  settings.threads = 1;
  settings.out = out.string();
  return settings;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Same names, types, shapes and bits of all tensors.
inline bool same_tensors(const std::filesystem::path& a, const std::filesystem::path& b) {
  const io::TensorFile left = io::read_safetensors(a);
  const io::TensorFile right = io::read_safetensors(b);
  if (left.tensors.empty() || left.tensors.size() != right.tensors.size()) return false;
  for (const auto& [name, tensor] : left.tensors) {
    const Tensor* const other = right.find(name);
    if (other == nullptr || other->dtype() != tensor.dtype() || other->shape() != tensor.shape() ||
        std::memcmp(other->raw(), tensor.raw(), tensor.bytes()) != 0) {
      return false;
    }
  }
  return true;
}

inline std::vector<std::filesystem::path> checkpoints_of(const std::filesystem::path& run) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(run / "checkpoints")) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

/// Remembers what it was told.
class RecordingReporter : public train::Reporter {
 public:
  void on_start(const train::RunInfo& info) override { start = info; }
  void on_step(const train::StepInfo& info) override {
    steps.push_back(info);
    if (at_step) at_step(info);
  }
  void on_warning(const std::string& text) override { warnings.push_back(text); }

  train::RunInfo start;
  std::vector<train::StepInfo> steps;
  std::vector<std::string> warnings;
  std::function<void(const train::StepInfo&)> at_step;
};

inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << text << "' does not contain '" << part << "'";
}

/// The message of the Error E that f throws; "no error" or the kind of another one otherwise.
template <class E, class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another error: ") + error.what();
  }
  return "no error";
}

}  // namespace evenkeel::testing
