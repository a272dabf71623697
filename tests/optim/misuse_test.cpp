// Steps on gradients that do not fit.
#include <limits>

#include <gtest/gtest.h>

#include "optim/networks.h"
#include <evenkeel/optim/optim.h>

namespace evenkeel::optim {
namespace {

using testing::fill_gradients;
using testing::same_parameters;
using testing::small_network;

std::vector<std::unique_ptr<Optimizer>> optimizers_of(nn::Module& network) {
  std::vector<std::unique_ptr<Optimizer>> list;
  list.push_back(std::make_unique<Sgd>(make_groups(network)));
  list.push_back(std::make_unique<Sgd>(make_groups(network), SgdOptions{.momentum = 0.9}));
  list.push_back(make_optimizer("adamw", make_groups(network)));
  return list;
}

std::vector<Tensor> copies_of(const nn::StateDict& state) {
  std::vector<Tensor> copies;
  for (const auto& [name, tensor] : state) copies.push_back(tensor.clone());
  return copies;
}

TEST(MisusedOptimizer, RefusesAGradientOfAnotherShapeOrTypeAndStepsNowhere) {
  nn::Sequential network = small_network();
  for (const auto& optimizer : optimizers_of(network)) {
    for (const auto& [name, parameter] : network.parameters()) {
      const Tensor right = parameter->grad;
      const Shape& shape = right.shape();
      for (const Tensor& wrong :
           {Tensor(), Tensor::zeros({}), Tensor::zeros(shape.with(0, shape[0] - 1)),
            Tensor::zeros(shape.with(0, shape[0] + 1)), Tensor::zeros(shape, DType::f64)}) {
        fill_gradients(network, 1);
        nn::Sequential before(network);
        const auto state = copies_of(optimizer->state_dict());
        parameter->grad = wrong;
        try {
          optimizer->step(0.1);
          ADD_FAILURE() << "accepted a gradient of " << name;
        } catch (const ShapeError& error) {
          EXPECT_NE(std::string(error.what()).find("'" + name + "'"), std::string::npos)
              << error.what();
        }
        parameter->grad = right;
        EXPECT_TRUE(same_parameters(network, before));
        const auto after = copies_of(optimizer->state_dict());
        for (std::size_t i = 0; i < state.size(); ++i) {
          EXPECT_EQ(std::memcmp(state[i].raw(), after[i].raw(), state[i].bytes()), 0) << i;
        }
      }
    }
    EXPECT_EQ(optimizer->steps(), 0);
  }
}

TEST(MisusedOptimizer, ABoundForTheGradientNormMustBePositive) {
  nn::Sequential network = small_network();
  fill_gradients(network, 1);
  const auto before = copies_of({{"", network.parameters()[0].parameter->grad}});
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THROW(clip_gradients(network, bad), UsageError);
  }
  const Tensor& after = network.parameters()[0].parameter->grad;
  EXPECT_EQ(std::memcmp(before[0].raw(), after.raw(), after.bytes()), 0);
}

}  // namespace
}  // namespace evenkeel::optim
