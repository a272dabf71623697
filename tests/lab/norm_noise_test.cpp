// The noise of a batch's statistics.
#include "lab/norm_noise.h"

#include <cmath>

#include <gtest/gtest.h>

#include <evenkeel/core/random.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::lab {
namespace {

constexpr std::int64_t kSamples = 300, kFeatures = 50;

/// Independent normal values.
Material normal() {
  Material material;
  data::Dataset& part = material.splits.train;
  part.samples = Tensor::zeros({kSamples, kFeatures});
  Random random(1);
  random.fill_normal(part.samples.span<float>(), 3, 2);
  part.labels.assign(kSamples, 0);
  part.classes = 1;
  material.normalization = data::measure_normalization(part);
  return material;
}

TEST(NormNoise, is_that_of_independent_samples_at_every_size) {
  const Material material = normal();
  nn::Sequential network;
  network.add(nn::BatchNorm1d(kFeatures));
  network.initialize(1);
  for (const std::int64_t size : {4, 32, 256}) {  // 256: no two disjoint batches
    const auto noise = norm_noise(network, material, material.splits.train, size, 1);
    ASSERT_EQ(noise.size(), 1U);
    const double root = std::sqrt(static_cast<double>(size));
    EXPECT_NEAR(noise[0].mean * root, 1, 0.08) << size;
    EXPECT_NEAR(noise[0].deviation * root, std::sqrt(0.5), 0.12) << size;
  }
}

TEST(NormNoise, repeats_with_its_seed) {
  const Material material = normal();
  nn::Sequential network;
  network.add(nn::BatchNorm1d(kFeatures));
  network.initialize(1);
  const auto of = [&](std::uint64_t seed) {
    return norm_noise(network, material, material.splits.train, 8, seed)[0].mean;
  };
  EXPECT_EQ(of(1), of(1));
  EXPECT_NE(of(1), of(2));
}

}  // namespace
}  // namespace evenkeel::lab
