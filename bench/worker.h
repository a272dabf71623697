// Peers in other processes (bench/peers/worker.py, evenkeel_bench_onednn): kept alive and asked by
// lines of JSON, so that they take their turns in the same minute as everyone else.
//
// Requests and answers are objects of one line; an answer may be {"error": "..."}.
//   {"do": "hello"}                              -> {"peers": ["PyTorch 2.15.0"]}
//   {"do": "data", "folder", "n", "c", "h", "w", "groups"}   -> {}: loads x.npy, dy.npy, add.npy,
//                                                   gamma.npy, beta.npy, mean.npy, var.npy
//   {"do": "work", "family", "operation", "relu", "add", "threads"}
//                                                -> {"candidates": [{"key", "who", "version",
//                                                "how",
//                                                   "layout", "note"}]}
//   {"do": "step", ...}                          -> the same, for training steps (steps.cpp)
//   {"do": "inference", ...}                     -> the same, for inference (inference.cpp)
//   {"do": "outputs", "key"}                     -> {"outputs": [...]}: of the network
//   {"do": "read", "key", "places", "parameters"} -> the fields of Actual
//   {"do": "losses", "key", "steps"}             -> {"losses": [...]}
//   {"do": "time", "key", "calls", "repeats"}    -> {"seconds": [...]}: per call, of each repeat
//   {"do": "memory", "key"}  -> {"standing", "peak", "faults"}: bytes and page faults of a training
//                                                   step (MemoryEntry)
// "work" and "step" forget the candidates before them. The end of the input ends the worker.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "measurement.h"
#include "tables.h"

namespace evenkeel::bench {

class Worker {
 public:
  /// Starts the program with its arguments. Throws Error where it does not answer.
  explicit Worker(const std::vector<std::string>& command);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  const std::vector<std::string>& peers() const { return peers_; }
  pid_t process() const { return process_; }
  /// Throws Error where the worker reports one or ends.
  Json ask(const Json& request);
  /// Candidates from an answer to "work" or "step", without read().
  std::vector<Candidate> candidates(const Json& answer);
  /// Candidates for a piece of work on the problem that was sent last.
  std::vector<Candidate> candidates_for(const Work& work);

 private:
  std::string name_;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
  pid_t process_ = -1;
  std::vector<std::string> peers_;
};

/// Problems as files in a folder of their own, which is removed in the end.
class ProblemFolder {
 public:
  ProblemFolder();
  ~ProblemFolder();
  ProblemFolder(const ProblemFolder&) = delete;
  ProblemFolder& operator=(const ProblemFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void send(const Problem& problem, std::vector<std::unique_ptr<Worker>>& workers) const;

 private:
  std::filesystem::path path_;
};

}  // namespace evenkeel::bench
