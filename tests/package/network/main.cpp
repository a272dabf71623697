// Another project's network: a few steps of training on made-up data, then an error that it
// catches.
#include <cstdio>
#include <vector>

#include <evenkeel/core/random.h>
#include <evenkeel/nn/nn.h>
#include <evenkeel/optim/optim.h>

using namespace evenkeel;
using namespace evenkeel::nn;

int main() {
  // Two classes that differ in the mean of every feature.
  constexpr std::int64_t kRows = 64, kFeatures = 16;
  Random random(1);
  Tensor x = Tensor::empty({kRows, kFeatures});
  random.fill_normal(x.span<float>(), 0.0F, 1.0F);
  std::vector<std::int32_t> labels(kRows);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    labels[row] = static_cast<std::int32_t>(row % 2);
    for (std::size_t i = 0; i < kFeatures; ++i) {
      x.span<float>()[row * kFeatures + i] += row % 2 == 0 ? 0.5F : -0.5F;
    }
  }

  Sequential net{Linear(kFeatures, 32), BatchNorm1d(32), ReLU(), Linear(32, 2)};
  net.initialize(1);
  optim::Sgd sgd(optim::make_groups(net, {}), {.momentum = 0.9});
  const CrossEntropy loss;
  net.train();
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    net.zero_grad();
    const auto [value, gradient] = loss(net.forward(x), labels);
    net.backward(gradient);
    sgd.step(0.1);
    if (step == 0) first = value;
    last = value;
  }
  std::printf("loss %.3f, after 20 steps %.3f\n", first, last);
  if (!(last < 0.2 * first)) return 1;

  try {
    net.forward(Tensor::zeros({kRows, kFeatures + 1}));
  } catch (const ShapeError& error) {
    std::printf("refused: %s\n", error.what());
    return 0;
  }
  return 1;
}
