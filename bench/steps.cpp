#include "steps.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "own.h"
#include "own_step.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/error.h>
#include <evenkeel/io/npy.h>

namespace evenkeel::bench {
namespace {

constexpr std::size_t kCheckedSteps = 4;
/// Relative, of losses after a few updates in float32 by other kernels.
constexpr double kLossTolerance = 2e-3;
/// The same of bf16 activations.
constexpr double kBf16LossTolerance = 3e-2;

using Losses = std::vector<double>;

Candidate own_candidate(const StepCase& step, const StepData& data, Layout layout,
                        bool deterministic, int threads, Losses& losses) {
  const auto own = std::make_shared<OwnStep>(
      step, data,
      OwnStepOptions{.layout = layout, .dtype = step.dtype, .deterministic = deterministic});
  own->prepare(threads);
  for (std::size_t i = 0; i < kCheckedSteps; ++i) losses.push_back(own->run());
  Candidate candidate;
  candidate.who = "evenkeel";
  candidate.version = own_version();
  candidate.how = step.sample.rank() < 3             ? "rows"
                  : layout == Layout::channels_first ? "channels first"
                                                     : "channels last";
  if (deterministic) candidate.how += ", deterministic";
  candidate.layout = layout;
  candidate.seconds = timed([own, threads] { own->prepare(threads); }, [own] { own->run(); });
  return candidate;
}

/// The largest relative difference; throws Error where it is too large.
double compare_losses(const Candidate& candidate, const Losses& got, const Losses& wanted,
                      DType dtype) {
  double worst = got.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(got.size(), wanted.size()); ++i) {
    worst = std::max(worst, std::abs(got[i] - wanted[i]) / std::max(1e-2, std::abs(wanted[i])));
  }
  if (!(worst <= (dtype == DType::bf16 ? kBf16LossTolerance : kLossTolerance))) {
    fail<Error>("[bench] {}: the losses of the first steps differ by {:.1e}; it is not timed",
                candidate.name(), worst);
  }
  return worst;
}

}  // namespace

Json describe(const StepCase& step, const StepData& data, int threads,
              const std::filesystem::path& folder) {
  std::map<std::string, Tensor> weights;
  for (const auto& [name, tensor] : network_of(step)->state_dict(true)) weights[name] = tensor;
  io::write_npz(folder / "weights.npz", weights);
  io::write_npy(folder / "batch.npy", data.x);
  io::write_npy(folder / "labels.npy",
                Tensor::from(std::span<const std::int32_t>(data.labels), {step.batch}));
  return {{"do", "step"},
          {"net", step.net},
          {"folder", folder.string()},
          {"rate", kStepRate},
          {"momentum", 0.9},
          {"threads", threads},
          {"dtype", name_of(step.dtype)},
          {"activation", step.activation}};
}

std::vector<StepCase> step_cases(bool quick) {
  std::vector<StepCase> cases{{"mlp", {784}, 16, 15},
                              {"mlp", {784}, 64, 15},
                              {"convnet", {1, 28, 28}, 64, 9},
                              {"resnet20", {3, 32, 32}, 128, 9},
                              {"mlp", {784}, 64, 15, DType::bf16},
                              {"resnet20", {3, 32, 32}, 128, 9, DType::bf16}};
  if (!quick) cases.push_back({"resnet50", {3, 224, 224}, 8, 4});
  return cases;
}

std::vector<StepCase> memory_cases(bool quick) {
  std::vector<StepCase> cases = step_cases(quick);
  std::erase_if(cases, [](const StepCase& step) { return step.dtype != DType::f32; });
  cases.push_back({"resnet20", {3, 32, 32}, 128, 9, DType::f32, "leaky_relu"});
  return cases;
}

Measurement measure_step(const StepCase& step, int threads,
                         std::vector<std::unique_ptr<Worker>>& workers,
                         const std::filesystem::path& folder, RunnerOptions options) {
  const StepData data = data_of(step);
  const bool images = step.sample.rank() == 3;
  Measurement result;
  result.shape = step.name();
  result.size = {.n = step.batch, .c = step.sample.numel()};
  result.work.threads = threads;

  std::vector<Candidate> candidates;
  std::vector<double> errors;
  Losses reference;
  const bool was_deterministic = deterministic();
  if (step.dtype != DType::f32) {
    OwnStep single(step, data, {});
    single.prepare(threads);
    for (std::size_t i = 0; i < kCheckedSteps; ++i) reference.push_back(single.run());
  }
  for (const bool deterministic : {false, true}) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      if (!images && layout == Layout::channels_last) continue;
      Losses losses;
      candidates.push_back(own_candidate(step, data, layout, deterministic, threads, losses));
      if (reference.empty()) reference = losses;
      errors.push_back(compare_losses(candidates.back(), losses, reference, step.dtype));
    }
  }
  const Json request = describe(step, data, threads, folder);
  for (auto& worker : workers) {
    const Json answer = worker->ask(request);
    const std::vector<Candidate> made = worker->candidates(answer);
    for (std::size_t i = 0; i < made.size(); ++i) {
      const Json losses = worker->ask(
          {{"do", "losses"}, {"key", answer["candidates"][i]["key"]}, {"steps", kCheckedSteps}});
      try {
        errors.push_back(
            compare_losses(made[i], losses.at("losses").get<Losses>(), reference, step.dtype));
        candidates.push_back(made[i]);
      } catch (const Error& error) {
        result.refused.emplace_back(error.what());
      }
    }
  }
  options.rounds = std::min(options.rounds, step.rounds);
  options.give_up = 0;
  const std::vector<Timing> timings = run_in_turns(candidates, options);
  set_deterministic(was_deterministic);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Entry entry{candidates[i], timings[i], errors[i]};
    entry.candidate.seconds = nullptr;
    result.entries.push_back(std::move(entry));
  }
  return result;
}

}  // namespace evenkeel::bench
