#include "train/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/model/checksum.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormatKey = "evenkeel.checkpoint";
constexpr const char* kFormat = "1";
constexpr const char* kRunKey = "evenkeel.run";
constexpr std::string_view kNetwork = model::kNetworkPrefix;
constexpr std::string_view kOptimizer = "optimizer/";
constexpr std::string_view kAverages = "averages/";
constexpr std::string_view kProgress = "progress/";
constexpr std::int64_t kEpochColumns = 10;
constexpr std::int64_t kEvaluationColumns = 4;

template <class T>
Tensor vector_of(const std::vector<T>& values) {
  return Tensor::from(std::span<const T>(values), {static_cast<std::int64_t>(values.size())});
}

std::vector<double> row_of(const EpochRecord& record) {
  const Evaluation validation = record.validation.value_or(Evaluation{});
  return {static_cast<double>(record.epoch),
          static_cast<double>(record.step),
          record.loss,
          record.accuracy,
          validation.loss,
          validation.accuracy,
          static_cast<double>(validation.count),
          record.lr,
          record.seconds,
          static_cast<double>(record.skipped)};
}

/// Counts stand among losses as doubles; one that no count can be is 0.
std::int64_t count_of(double value) {
  return std::fabs(value) < 0x1p63 ? static_cast<std::int64_t>(value) : 0;
}

EpochRecord record_of(const double* row) {
  EpochRecord record;
  record.epoch = count_of(row[0]);
  record.step = count_of(row[1]);
  record.loss = row[2];
  record.accuracy = row[3];
  const auto count = count_of(row[6]);
  if (count > 0) record.validation = Evaluation{row[4], row[5], count};
  record.lr = row[7];
  record.seconds = row[8];
  record.skipped = count_of(row[9]);
  return record;
}

nn::StateDict pack(const Progress& progress) {
  std::vector<std::int64_t> integers;
  std::vector<double> numbers, history, evaluations;
  Progress::each(progress, [&](const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>) {
      numbers.push_back(value);
    } else {
      integers.push_back(value);
    }
  });
  for (const EpochRecord& record : progress.history) {
    const std::vector<double> row = row_of(record);
    history.insert(history.end(), row.begin(), row.end());
  }
  for (const auto& [step, evaluation] : progress.evaluations) {
    for (const double value : {static_cast<double>(step), evaluation.loss, evaluation.accuracy,
                               static_cast<double>(evaluation.count)}) {
      evaluations.push_back(value);
    }
  }
  return {{"integers", vector_of(integers)},
          {"numbers", vector_of(numbers)},
          {"history", vector_of(history)},
          {"evaluations", vector_of(evaluations)}};
}

Tensor require(const nn::StateDict& state, const std::string& name, DType dtype,
               const std::string& where) {
  for (const auto& [key, tensor] : state) {
    if (key == name && tensor.dtype() == dtype && tensor.rank() == 1) return tensor;
  }
  fail<IoError>("[checkpoint] '{}' lacks {}{}", where, kProgress, name);
}

Progress unpack(const nn::StateDict& state, const std::string& where) {
  const Tensor integers = require(state, "integers", DType::i64, where);
  const Tensor numbers = require(state, "numbers", DType::f64, where);
  const Tensor history = require(state, "history", DType::f64, where);
  const Tensor evaluations = require(state, "evaluations", DType::f64, where);
  Progress progress;
  std::int64_t i = 0, d = 0;
  Progress::each(progress, [&](auto& value) {
    constexpr bool number = std::is_same_v<std::decay_t<decltype(value)>, double>;
    const Tensor& source = number ? numbers : integers;
    std::int64_t& at = number ? d : i;
    if (at >= source.numel()) fail<IoError>("[checkpoint] '{}' is of another version", where);
    value = source.data<std::decay_t<decltype(value)>>()[at++];
  });
  for (std::int64_t row = 0; row + kEpochColumns <= history.numel(); row += kEpochColumns) {
    progress.history.push_back(record_of(history.data<double>() + row));
  }
  for (std::int64_t row = 0; row + kEvaluationColumns <= evaluations.numel();
       row += kEvaluationColumns) {
    const double* const v = evaluations.data<double>() + row;
    progress.evaluations.push_back({count_of(v[0]), {v[1], v[2], count_of(v[3])}});
  }
  return progress;
}

void append(io::TensorFile& file, std::string_view prefix, const nn::StateDict& state) {
  for (const auto& [name, tensor] : state) {
    file.tensors.emplace_back(std::string(prefix) + name, tensor);
  }
}

nn::StateDict part_of(const io::TensorFile& file, std::string_view prefix) {
  nn::StateDict part;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with(prefix)) part.emplace_back(name.substr(prefix.size()), tensor);
  }
  return part;
}

std::string text_of(const io::TensorFile& file, const char* key) {
  const auto it = file.metadata.find(key);
  return it == file.metadata.end() ? std::string() : it->second;
}

/// What a run that was killed while it saved leaves behind.
bool is_temporary(const fs::path& path) {
  return path.filename().string().starts_with(".evenkeel-") && path.extension() == ".tmp";
}

}  // namespace

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  io::TensorFile file;
  file.metadata = checkpoint.metadata;
  append(file, kNetwork, checkpoint.network);
  append(file, kOptimizer, checkpoint.optimizer);
  append(file, kAverages, checkpoint.averages);
  append(file, kProgress, pack(checkpoint.progress));
  file.metadata.insert_or_assign(kFormatKey, kFormat);
  model::add_checksum(file);
  io::write_safetensors(path, file);
}

Checkpoint read_checkpoint(const fs::path& path) {
  const io::TensorFile file = io::read_safetensors(path);
  const std::string where = path.string();
  if (text_of(file, kFormatKey) != kFormat) {
    fail<IoError>("[checkpoint] '{}' is not a checkpoint of format {}", where, kFormat);
  }
  model::verify_checksum(file, path);
  return {part_of(file, kNetwork), part_of(file, kOptimizer), part_of(file, kAverages),
          unpack(part_of(file, kProgress), where), file.metadata};
}

void CheckpointFolder::prepare() const {
  io::probe_writable(folder_);
  std::error_code ignored;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    if (is_temporary(entry.path())) left.push_back(entry.path());
  }
  for (const fs::path& path : left) fs::remove(path, ignored);
}

void CheckpointFolder::write(Checkpoint checkpoint) {
  checkpoint.metadata.insert_or_assign(kRunKey, run_);
  const fs::path path = folder_ / fmt::format("step-{:010}.safetensors", checkpoint.progress.step);
  write_checkpoint(path, checkpoint);
  std::error_code ignored;  // one file too many does no harm
  for (const fs::path& other : model::list_checkpoints(folder_)) {
    if (other != path && other != previous_) fs::remove(other, ignored);
  }
  previous_ = path;
}

std::optional<CheckpointFolder::Found> CheckpointFolder::read_newest(
    const std::function<void(const std::string&)>& warn) {
  const std::vector<fs::path> paths = model::list_checkpoints(folder_);
  if (paths.empty()) return std::nullopt;
  std::int64_t damaged = 0;
  for (const fs::path& path : paths) {
    try {
      Found found{read_checkpoint(path), path.filename().string(), damaged};
      const auto run = found.checkpoint.metadata.find(kRunKey);
      if (run == found.checkpoint.metadata.end() || run->second != run_) {
        fail<IoError>("[checkpoint] '{}' is of another run", path.string());
      }
      previous_ = path;
      return found;
    } catch (const Error& error) {
      ++damaged;
      warn(fmt::format("{}; taking the checkpoint before it", error.what()));
    }
  }
  fail<IoError>("[checkpoint] '{}' holds no intact checkpoint; start the run anew with 'replace'",
                folder_.string());
}

}  // namespace evenkeel::train
