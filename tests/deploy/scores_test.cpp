// Networks of others that end in a Softmax or Sigmoid.
#include <cmath>

#include <gtest/gtest.h>

#include "nn/tensors.h"
#include <evenkeel/deploy/scores.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/graph.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/reshape.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/layers/softmax.h>

namespace evenkeel::deploy {
namespace {

using evenkeel::testing::identical;
using evenkeel::testing::random_tensor;

const Shape kBatch{5, 3};

nn::Sequential ready(nn::Sequential network) {
  network.initialize(1);
  network.eval();
  return network;
}

TEST(Scores, TheLogitsBeforeASoftmaxTakeItsPlace) {
  nn::Sequential network =
      ready(nn::Sequential{nn::Linear(3, 4), nn::Softmax(), nn::Dropout(0.5), nn::Flatten()});
  const Tensor x = random_tensor(kBatch, 2);
  const Tensor logits = network.child(0).forward(x);
  EXPECT_EQ(scores_of(network, kBatch), Scores::probabilities);
  EXPECT_EQ(give_logits(network, kBatch), Scores::logits);
  EXPECT_TRUE(identical(network.forward(x), logits));
  EXPECT_EQ(scores_of(network, kBatch), Scores::logits);
}

TEST(Scores, ASoftmaxOverSomethingElseIsNone) {
  nn::Sequential parts = ready(
      nn::Sequential{nn::Linear(3, 4), nn::Reshape({0, 2, 2}), nn::Softmax(2), nn::Flatten()});
  EXPECT_EQ(scores_of(parts, kBatch), Scores::logits);
  nn::Sequential whole = ready(nn::Sequential{nn::Linear(3, 4), nn::Reshape({0, 2, 2}),
                                              nn::Softmax(1, true), nn::Flatten()});
  EXPECT_EQ(scores_of(whole, kBatch), Scores::probabilities);
}

TEST(Scores, ASigmoidOfOneOutputBecomesTwoClasses) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    nn::Sequential network = ready(nn::Sequential{nn::Linear(3, 1), nn::Sigmoid()});
    network.to(dtype);
    const Tensor x = random_tensor(kBatch, 2, dtype);
    const double p = network.forward(x).to(DType::f64).span<double>()[1];
    EXPECT_EQ(scores_of(network, kBatch), Scores::independent);
    EXPECT_EQ(give_logits(network, kBatch), Scores::logits);
    EXPECT_EQ(network.output_shape(kBatch), Shape({5, 2}));
    const Tensor logits = network.forward(x).to(DType::f64);
    EXPECT_EQ(logits.span<double>()[2], 0);
    EXPECT_NEAR(1 / (1 + std::exp(-logits.span<double>()[3])), p, 1e-6);
  }
}

TEST(Scores, ASigmoidOfSeveralOutputsStays) {
  nn::Sequential network = ready(nn::Sequential{nn::Linear(3, 4), nn::Sigmoid()});
  const Tensor before = network.forward(random_tensor(kBatch, 2));
  EXPECT_EQ(give_logits(network, kBatch), Scores::independent);
  EXPECT_TRUE(identical(network.forward(random_tensor(kBatch, 2)), before));
}

TEST(Scores, OutputsThatAreNoScoresAreLeft) {
  nn::Sequential plain = ready(nn::Sequential{nn::Linear(3, 4), nn::ReLU()});
  EXPECT_EQ(give_logits(plain, kBatch), Scores::logits);
  nn::Sequential map = ready(nn::Sequential{nn::Reshape({0, 3, 1}), nn::Softmax(1)});
  EXPECT_EQ(give_logits(map, kBatch), Scores::logits);
  EXPECT_EQ(map.output_shape(kBatch), Shape({5, 3, 1}));
}

}  // namespace
}  // namespace evenkeel::deploy
