#include <algorithm>

#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>
#include <evenkeel/io/torch_checkpoint.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::model {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// Removes what a run writes, and nothing else that lies in the folder.
void clear_run(const RunFolder& run) {
  // The configuration last: as long as something is left, the folder holds a run.
  for (const fs::path& path : {run.checkpoints(), run.weights(), run.best(), run.ema(), run.swa(),
                               run.metrics(), run.events(), run.config()}) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) {
      fail<IoError>("[run] cannot remove '{}': {}; give another folder", path.string(),
                    error.message());
    }
  }
}

}  // namespace

RunFolder RunFolder::create(const fs::path& path, bool replace) {
  RunFolder run(path);
  if (is_file(run.config()) && !replace) {
    fail<IoError>(
        "[run] '{}' holds a run already; give another folder, or --resume or --replace that run",
        path.string());
  }
  io::probe_writable(path);
  if (replace) clear_run(run);
  return run;
}

RunFolder RunFolder::open(const fs::path& path) {
  RunFolder run(path);
  if (!is_folder(path)) {
    fail<IoError>(
        "[run] '{}' is not a run folder: there is no such file or folder; give a folder written by "
        "'evenkeel train --out'",
        path.string());
  }
  if (!is_file(run.config())) {
    fail<IoError>(
        "[run] '{}' is not a run folder: no config.toml; give a folder written by 'evenkeel train "
        "--out'",
        path.string());
  }
  return run;
}

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const fs::path& path = entry.path();
    const bool named_so = path.filename().string().starts_with("step-");
    if (named_so && path.extension() == ".safetensors") paths.push_back(path);
  }
  std::ranges::sort(paths, std::greater<>());  // their steps have leading zeros
  return paths;
}

LoadedNetwork load_run(const fs::path& run_or_file,
                       const std::function<void(const std::string&)>& warn) {
  if (is_file(run_or_file)) {
    if (io::is_torch_checkpoint(run_or_file)) {
      fail<IoError>(
          "[run] '{}' holds tensors but no network; make one of it with 'evenkeel import {} --net "
          "NAME --input SHAPE -o FILE.safetensors'",
          run_or_file.string(), run_or_file.string());
    }
    if (run_or_file.extension() != ".safetensors") {
      fail<IoError>(
          "[run] '{}' is neither a run folder nor a .safetensors file nor an .onnx model; give a "
          "folder written by 'evenkeel train --out', or a file of weights in it; 'evenkeel import' "
          "reads those of others",
          run_or_file.string());
    }
    return load_network(run_or_file);
  }
  const RunFolder run = RunFolder::open(run_or_file);
  if (is_file(run.weights())) return load_network(run.weights());
  if (is_file(run.best())) return load_network(run.best());
  const std::vector<fs::path> checkpoints = list_checkpoints(run.checkpoints());
  for (const fs::path& path : checkpoints) {
    try {
      return load_network(path);
    } catch (const Error& error) {
      if (warn) warn(fmt::format("{}; taking the checkpoint before it", error.what()));
    }
  }
  if (!checkpoints.empty()) {
    fail<IoError>(
        "[run] '{}' has no weights, and none of its {} checkpoints is intact; train it anew with "
        "--replace",
        run.path().string(), checkpoints.size());
  }
  fail<IoError>(
      "[run] '{}' has no weights yet: neither {} nor a checkpoint; go on with 'evenkeel train "
      "--out {} --resume'",
      run.path().string(), run.weights().filename().string(), run.path().string());
}

}  // namespace evenkeel::model
