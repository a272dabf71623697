#include "plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "inference.h"
#include "onednn.h"
#include "own.h"
#include "steps.h"

namespace evenkeel::bench {
namespace {

int processors() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

void progress(const std::string& text) { fmt::print(stderr, "{}\n", text); }

}  // namespace

Bench::Bench(Plan plan, std::vector<std::unique_ptr<Worker>> workers, std::function<void()> save)
    : plan_(std::move(plan)), workers_(std::move(workers)), save_(std::move(save)) {}

std::vector<int> Bench::threads_for(bool representative) const {
  if (!plan_.threads.empty()) return plan_.threads;
  if (processors() == 1) return {1};
  return representative ? std::vector{2, 1} : std::vector{2};
}

std::vector<pid_t> Bench::worker_processes() const {
  std::vector<pid_t> processes;
  for (const auto& worker : workers_) processes.push_back(worker->process());
  return processes;
}

bool Bench::wants(const std::string& part) const {
  return std::ranges::find(plan_.parts, part) != plan_.parts.end();
}

bool Bench::wants_network(const std::string& name) const {
  return plan_.networks.empty() || std::ranges::find(plan_.networks, name) != plan_.networks.end();
}

bool Bench::wants(const Work& work) const {
  return plan_.works.empty() || std::ranges::find(plan_.works, work.name()) != plan_.works.end();
}

std::vector<Provider> Bench::providers() {
  std::vector<Provider> result{own_candidates, onednn_candidates};
  for (auto& worker : workers_) {
    result.emplace_back([&worker = *worker](const Problem&, const Work& work) {
      return worker.candidates_for(work);
    });
  }
  return result;
}

std::vector<Work> Bench::works_of(Family family, int threads) const {
  std::vector<Work> works;
  for (const Operation operation :
       {Operation::forward, Operation::backward, Operation::inference}) {
    const Work plain{.family = family, .operation = operation, .threads = threads};
    if (family != Family::batch_norm) {
      if (operation != Operation::inference) works.push_back(plain);
      continue;
    }
    Work relu = plain, sum = plain;
    relu.relu = true;
    sum.relu = sum.add = true;
    // A quick run takes the form that networks use most.
    if (!plan_.quick || !plan_.works.empty()) works.push_back(plain);
    works.push_back(relu);
    if (!plan_.quick || !plan_.works.empty()) works.push_back(sum);
  }
  std::erase_if(works, [this](const Work& work) { return !wants(work); });
  return works;
}

void Bench::add(std::vector<Measurement>& to, const std::string& shape, const Problem& problem,
                const Work& work, const std::vector<Provider>& from) {
  Measurement m = measure(shape, problem, work, from, plan_.runner);
  std::string line =
      fmt::format("{} x {} {}, {} threads:", m.size.n, shape, work.name(), work.threads);
  for (const Entry& entry : m.entries) {
    line += fmt::format("  {} {}", entry.candidate.title(), milliseconds(entry.timing.min));
  }
  progress(line + fmt::format("  copy {}", milliseconds(m.copy.timing.min)));
  for (const std::string& refused : m.refused) progress("  refused: " + refused);
  to.push_back(std::move(m));
}

void Bench::run() {
  if (wants("batch-norm")) run_batch_norm();
  if (wants("rows")) run_rows();
  if (wants("steps")) run_steps();
  if (wants("memory")) run_memory();
  if (wants("inference")) run_inference();
  if (wants("growth")) run_growth();
  if (wants("threads")) run_threads();
}

void Bench::run_batch_norm() {
  const std::vector<SampleShape> few = representative_shapes();
  const auto from = providers();
  for (const SampleShape& shape : plan_.quick ? few : batch_norm_shapes()) {
    if (std::ranges::none_of(shape.uses,
                             [this](const auto& use) { return wants_network(use.network); })) {
      continue;
    }
    const bool representative =
        std::ranges::find(few, shape.name(), &SampleShape::name) != few.end();
    for (const std::int64_t batch : plan_.batches) {
      const Problem problem({.n = batch, .c = shape.c, .h = shape.h, .w = shape.w});
      folder_.send(problem, workers_);
      for (const int threads : threads_for(representative)) {
        for (const Work& work : works_of(Family::batch_norm, threads)) {
          add(findings_.batch_norm, shape.name(), problem, work, from);
          findings_.batch_norm.back().uses = shape.uses;
        }
      }
      save_();
    }
  }
}

void Bench::run_family(Family family, const std::string& shape, const ProblemSize& size) {
  const Problem problem(size);
  folder_.send(problem, workers_);
  for (const int threads : threads_for(true)) {
    for (const Work& work : works_of(family, threads)) {
      add(findings_.rows, shape, problem, work, providers());
    }
  }
  save_();
}

void Bench::run_rows() {
  const auto some = [this](auto shapes) {
    if (plan_.quick && shapes.size() > 3) shapes.resize(3);
    return shapes;
  };
  for (const RowShape& row : some(layer_norm_shapes())) {
    run_family(Family::layer_norm, fmt::format("{} ({})", row.length, row.name),
               {.n = row.rows, .c = row.length});
  }
  for (const GroupShape& row : some(group_norm_shapes())) {
    run_family(Family::group_norm, row.name,
               {.n = row.n, .c = row.c, .h = row.h, .w = row.w, .groups = row.groups});
  }
  for (const GroupShape& row : some(instance_norm_shapes())) {
    run_family(Family::instance_norm, row.name,
               {.n = row.n, .c = row.c, .h = row.h, .w = row.w, .groups = row.groups});
  }
}

/// Six decades of each of N, C and S while the other two stay small.
void Bench::run_growth() {
  const std::vector<Provider> from{own_candidates, onednn_candidates};
  const int half_decades = plan_.quick ? 10 : 12;
  for (const char axis : {'N', 'C', 'S'}) {
    for (int i = 0; i <= half_decades; ++i) {
      const auto extent = static_cast<std::int64_t>(std::llround(std::pow(10.0, i / 2.0)));
      ProblemSize size{.n = 8, .c = 8, .h = 4};
      (axis == 'N' ? size.n : axis == 'C' ? size.c : size.h) = extent;
      const Problem problem(size);
      for (const Operation operation : {Operation::forward, Operation::backward}) {
        add(findings_.growth, fmt::format("{}={}", axis, extent), problem,
            {.operation = operation, .relu = true, .threads = threads_for(false).front()}, from);
      }
      save_();
    }
  }
}

void Bench::run_threads() {
  std::vector<int> counts;
  for (int threads = 1; threads < processors(); threads *= 2) counts.push_back(threads);
  counts.push_back(processors());
  for (const auto& [c, extent] : {std::pair<std::int64_t, std::int64_t>{64, 112}, {256, 14}}) {
    const Problem problem({.n = 32, .c = c, .h = extent, .w = extent});
    folder_.send(problem, workers_);
    for (const int threads : counts) {
      for (const Operation operation : {Operation::forward, Operation::backward}) {
        add(findings_.threads, fmt::format("{}@{}x{}", c, extent, extent), problem,
            {.operation = operation, .relu = true, .threads = threads}, providers());
      }
    }
    save_();
  }
}

void Bench::run_steps() {
  for (const StepCase& step : step_cases(plan_.quick)) {
    if (!wants_network(step.net)) continue;
    for (const int threads : threads_for(true)) {
      progress(fmt::format("{}, batch {}, {} threads", step.name(), step.batch, threads));
      findings_.steps.push_back(
          measure_step(step, threads, workers_, folder_.path(), plan_.runner));
      show(findings_.steps.back());
    }
    save_();
  }
}

void Bench::run_memory() {
  for (const StepCase& step : memory_cases(plan_.quick)) {
    if (!wants_network(step.net)) continue;
    for (const int threads : threads_for(false)) {
      progress(fmt::format("memory of {}, batch {}, {} threads", step.net, step.batch, threads));
      findings_.memory.push_back(
          measure_memory(step, threads, workers_, folder_.path(), plan_.runner));
    }
    save_();
  }
}

void Bench::run_inference() {
  for (const InferenceCase& inference : inference_cases(plan_.quick)) {
    if (!wants_network(inference.net)) continue;
    for (const int threads : threads_for(true)) {
      progress(fmt::format("{}, inference, batch {}, {} threads", inference.net, inference.batch,
                           threads));
      findings_.inference.push_back(
          measure_inference(inference, threads, workers_, folder_.path(), plan_.runner));
      show(findings_.inference.back());
    }
    save_();
  }
}

void Bench::show(const Measurement& m) const {
  for (const Entry& entry : m.entries) {
    progress(fmt::format("  {} {}", entry.candidate.title(), with_median(entry.timing)));
  }
  for (const std::string& refused : m.refused) progress("  refused: " + refused);
}

}  // namespace evenkeel::bench
