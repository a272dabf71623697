#include <bit>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "optim/networks.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/optim/clip.h>

namespace evenkeel::optim {
namespace {

using testing::fill_gradients;
using testing::small_network;

void set_all_gradients(nn::Module& module, double value) {
  for (const auto& [name, parameter] : module.parameters()) parameter->grad.fill(value);
}

TEST(Clip, ReturnsTheNormOfAllGradientsTogether) {
  nn::Sequential network = small_network();
  set_all_gradients(network, 0.5);
  const auto count = static_cast<double>(network.parameter_count());
  EXPECT_DOUBLE_EQ(gradient_norm(network), 0.5 * std::sqrt(count));
}

TEST(Clip, ScalesALongGradientToTheLargestNorm) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    nn::Sequential network = small_network(dtype);
    fill_gradients(network, 1);
    const double before = gradient_norm(network);
    EXPECT_EQ(clip_gradients(network, 0.25 * before), before);
    EXPECT_NEAR(gradient_norm(network), 0.25 * before, 1e-5);
  }
}

TEST(Clip, LeavesAShortGradientItsBits) {
  nn::Sequential network = small_network();
  fill_gradients(network, 1);
  const Tensor before = network.parameters()[0].parameter->grad.clone();
  clip_gradients(network, 1e6);
  EXPECT_EQ(
      std::memcmp(before.raw(), network.parameters()[0].parameter->grad.raw(), before.bytes()), 0);
}

TEST(Clip, ReturnsANormThatIsNotFiniteAndChangesNothing) {
  nn::Sequential network = small_network();
  set_all_gradients(network, 2);
  network.parameters()[1].parameter->grad.data<float>()[0] =
      std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(clip_gradients(network, 1)));
  EXPECT_EQ(network.parameters()[0].parameter->grad.data<float>()[0], 2.0F);
}

TEST(Clip, DoesNotOverflowBelowTheLargestFloat) {
  nn::Sequential network = small_network();
  set_all_gradients(network, 3e38);
  EXPECT_TRUE(std::isfinite(gradient_norm(network)));
}

TEST(Clip, LeavesFrozenParametersOut) {
  nn::Sequential network = small_network();
  set_all_gradients(network, 1);
  for (const auto& [name, parameter] : network.parameters()) parameter->trainable = false;
  EXPECT_EQ(gradient_norm(network), 0.0);
}

TEST(Clip, GivesTheSameBitsForAnyNumberOfThreads) {
  nn::Sequential network{nn::Linear(300, 301)};
  fill_gradients(network, 5);
  const int threads = max_threads();
  set_max_threads(1);
  const double one = gradient_norm(network);
  set_max_threads(3);
  const double three = gradient_norm(network);
  set_max_threads(threads);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(one), std::bit_cast<std::uint64_t>(three));
}

TEST(Clip, RefusesALargestNormOfZero) {
  nn::Sequential network = small_network();
  EXPECT_THROW(clip_gradients(network, 0), UsageError);
}

}  // namespace
}  // namespace evenkeel::optim
