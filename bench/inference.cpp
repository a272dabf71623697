#include "inference.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "own.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>
#include <evenkeel/io/npy.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/fold.h>

namespace evenkeel::bench {
namespace {

constexpr std::uint64_t kSeed = 1;
/// Of the largest output, in float32 by other kernels.
constexpr double kTolerance = 1e-4;

Tensor random_batch(const InferenceCase& inference, std::int64_t samples, std::uint64_t stream) {
  std::vector<std::int64_t> dims{samples};
  for (const std::int64_t extent : inference.sample.dims()) dims.push_back(extent);
  Tensor x = Tensor::empty(Shape(dims));
  Random random(kSeed, stream);
  random.fill_normal(x.span<float>(), 0, 1);
  return x;
}

/// With running statistics of batches like this one.
std::unique_ptr<nn::Module> network_of(const InferenceCase& inference) {
  model::NetworkOptions options;
  options.net = inference.net;
  options.input = inference.sample;
  std::unique_ptr<nn::Module> network = model::build_network(options, kSeed);
  network->train();
  network->forward(random_batch(inference, 4, 17));
  network->clear_saved();
  network->eval();
  return network;
}

using Outputs = std::vector<double>;

class OwnInference {
 public:
  OwnInference(const nn::Module& network, const Tensor& x, Layout layout)
      : network_(network.clone()), x_(x.to(layout)) {
    nn::fold(*network_);
  }

  Tensor run() { return network_->forward(x_); }
  Outputs outputs() {
    const Tensor y = run().to(DType::f64);
    const auto values = y.span<double>();
    return {values.begin(), values.end()};
  }

 private:
  std::unique_ptr<nn::Module> network_;
  Tensor x_;
};

/// The largest difference over the largest output; throws Error where it is too large.
double compare(const Candidate& candidate, const Outputs& got, const Outputs& wanted) {
  double worst = got.size() == wanted.size() ? 0 : 1;
  double largest = 0;
  for (std::size_t i = 0; i < std::min(got.size(), wanted.size()); ++i) {
    worst = std::max(worst, std::abs(got[i] - wanted[i]));
    largest = std::max(largest, std::abs(wanted[i]));
  }
  if (!(worst <= kTolerance * largest)) {
    fail<Error>("[bench] {}: the outputs differ by {:.1e} of the largest; it is not timed",
                candidate.name(), worst / largest);
  }
  return worst / largest;
}

Json describe(const InferenceCase& inference, nn::Module& network, const Tensor& x, int threads,
              const std::filesystem::path& folder) {
  std::map<std::string, Tensor> weights;
  for (const auto& [name, tensor] : network.state_dict(true)) {
    weights[name] = tensor.dtype() == DType::f64 ? tensor.to(DType::f32) : tensor;
  }
  io::write_npz(folder / "weights.npz", weights);
  io::write_npy(folder / "batch.npy", x);
  return {{"do", "inference"},
          {"net", inference.net},
          {"folder", folder.string()},
          {"threads", threads}};
}

}  // namespace

std::vector<InferenceCase> inference_cases(bool quick) {
  std::vector<InferenceCase> cases{{"resnet50", {3, 224, 224}, 1, 15},
                                   {"resnet50", {3, 224, 224}, 32, 4}};
  if (!quick) {
    cases.push_back({"resnet20", {3, 32, 32}, 1, 15});
    cases.push_back({"resnet20", {3, 32, 32}, 128, 9});
    cases.push_back({"mlp", {784}, 1, 15});
  }
  return cases;
}

Measurement measure_inference(const InferenceCase& inference, int threads,
                              std::vector<std::unique_ptr<Worker>>& workers,
                              const std::filesystem::path& folder, RunnerOptions options) {
  const Tensor x = random_batch(inference, inference.batch, 13);
  const std::unique_ptr<nn::Module> network = network_of(inference);
  const bool images = inference.sample.rank() == 3;
  Measurement result;
  result.shape = inference.net;
  result.size = {.n = inference.batch, .c = inference.sample.numel()};
  result.work.threads = threads;

  set_max_threads(threads);
  const Tensor plain = network->forward(x).to(DType::f64);
  const Outputs wanted(plain.span<double>().begin(), plain.span<double>().end());
  std::vector<Candidate> candidates;
  std::vector<double> errors;
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    if (!images && layout == Layout::channels_last) continue;
    const auto own = std::make_shared<OwnInference>(*network, x, layout);
    Candidate candidate;
    candidate.who = "evenkeel";
    candidate.version = own_version();
    candidate.how = !images                            ? "folded"
                    : layout == Layout::channels_first ? "folded, channels first"
                                                       : "folded, channels last";
    candidate.layout = layout;
    candidate.seconds = timed([threads] { set_max_threads(threads); }, [own] { own->run(); });
    errors.push_back(compare(candidate, own->outputs(), wanted));
    candidates.push_back(std::move(candidate));
  }
  const Json request = describe(inference, *network, x, threads, folder);
  for (auto& worker : workers) {
    const Json answer = worker->ask(request);
    const std::vector<Candidate> made = worker->candidates(answer);
    for (std::size_t i = 0; i < made.size(); ++i) {
      const Json outputs =
          worker->ask({{"do", "outputs"}, {"key", answer["candidates"][i]["key"]}});
      try {
        errors.push_back(compare(made[i], outputs.at("outputs").get<Outputs>(), wanted));
        candidates.push_back(made[i]);
      } catch (const Error& error) {
        result.refused.emplace_back(error.what());
      }
    }
  }
  options.rounds = std::min(options.rounds, inference.rounds);
  options.give_up = 0;
  const std::vector<Timing> timings = run_in_turns(candidates, options);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Entry entry{candidates[i], timings[i], errors[i]};
    entry.candidate.seconds = nullptr;
    result.entries.push_back(std::move(entry));
  }
  return result;
}

}  // namespace evenkeel::bench
