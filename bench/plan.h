// What a run of evenkeel_bench measures.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "measurement.h"
#include "memory.h"
#include "worker.h"

namespace evenkeel::bench {

struct Plan {
  bool quick = false;
  std::vector<std::string> parts{"batch-norm", "rows",   "steps",  "inference",
                                 "memory",     "growth", "threads"};
  std::vector<std::int64_t> batches{32, 1};
  std::vector<int> threads;           ///< empty: 2, and 1 for the representative shapes
  std::vector<std::string> networks;  ///< empty: all
  std::vector<std::string> works;     ///< "forward", "backward+relu", …; empty: the usual ones
  RunnerOptions runner;
};

/// Everything that a run has found so far.
struct Findings {
  std::vector<Measurement> batch_norm, rows, growth, threads;
  // Seconds per training step or batch; sizes and copies mean nothing.
  std::vector<Measurement> steps, inference;
  std::vector<MemoryMeasurement> memory;
};

class Bench {
 public:
  Bench(Plan plan, std::vector<std::unique_ptr<Worker>> workers, std::function<void()> save);

  void run();
  const Findings& findings() const { return findings_; }
  std::vector<pid_t> worker_processes() const;

 private:
  bool wants(const std::string& part) const;
  bool wants(const Work& work) const;
  bool wants_network(const std::string& name) const;
  std::vector<int> threads_for(bool representative) const;
  void run_batch_norm();
  void run_rows();
  void run_growth();
  void run_threads();
  void run_steps();
  void run_memory();
  void run_inference();
  void show(const Measurement& m) const;
  void run_family(Family family, const std::string& shape, const ProblemSize& size);
  std::vector<Provider> providers();
  std::vector<Work> works_of(Family family, int threads) const;
  void add(std::vector<Measurement>& to, const std::string& shape, const Problem& problem,
           const Work& work, const std::vector<Provider>& from);

  Plan plan_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::function<void()> save_;
  ProblemFolder folder_;
  Findings findings_;
};

}  // namespace evenkeel::bench
