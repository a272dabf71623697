#include "lab/norm_noise.h"

#include <cmath>

#include "lab/norm_inputs.h"
#include "lab/statistics.h"
#include <evenkeel/core/random.h>

namespace evenkeel::lab {
namespace {

constexpr std::uint64_t kStream = 0x6e6f6973656f66;

/// The standard deviation of what some values are a sample of.
double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

NormNoise noise_of(const NormInputs& inputs) {
  const std::vector<double> variances = inputs.pooled_variances();
  NormNoise noise;
  double channels = 0;
  for (std::size_t c = 0; c < variances.size(); ++c) {
    if (!(variances[c] > 0)) continue;
    const double sigma = std::sqrt(variances[c]);
    std::vector<double> means, deviations;
    for (std::size_t b = 0; b < inputs.means.size(); ++b) {
      means.push_back(inputs.means[b][c] / sigma);
      deviations.push_back(std::sqrt(inputs.variances[b][c]) / sigma);
    }
    noise.mean += deviation_of(means);
    noise.deviation += deviation_of(deviations);
    ++channels;
  }
  return {noise.mean / channels, noise.deviation / channels};
}

}  // namespace

std::vector<NormNoise> norm_noise(const nn::Module& network, const Material& material,
                                  const data::Dataset& part, std::int64_t batch_size,
                                  std::uint64_t seed) {
  Random random = Random(seed, kStream).fork(static_cast<std::uint64_t>(batch_size));
  std::vector<std::int64_t> drawn(static_cast<std::size_t>(kNoiseBatches * batch_size));
  for (std::int64_t& index : drawn) {
    index = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(part.size())));
  }
  std::vector<NormNoise> noise;
  for (const NormInputs& inputs :
       observe_norms(network, material, part.select(drawn),
                     {.batch_size = batch_size, .mode = train::EvalMode::train})) {
    noise.push_back(noise_of(inputs));
  }
  return noise;
}

}  // namespace evenkeel::lab
