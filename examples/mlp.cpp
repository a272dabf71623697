// A network as a C++ user writes it: three linear layers with batch norm, trained on the built-in
// digits, then evaluated with its running statistics.
#include <evenkeel/data/loader.h>
#include <evenkeel/data/source.h>
#include <evenkeel/nn/nn.h>
#include <evenkeel/optim/optim.h>

#include <cstdio>

using namespace evenkeel;
using namespace evenkeel::nn;

int main() {
  const data::Splits digits = data::open_source("glyphs:train=4000,test=1000");
  const auto normalization = data::measure_normalization(digits.train);

  Sequential net{Flatten(),
                 Linear(784, 256),
                 BatchNorm1d(256),
                 ReLU(),
                 Linear(256, 128),
                 BatchNorm1d(128),
                 ReLU(),
                 Linear(128, 10)};
  net.initialize(1);
  fuse(net);  // batch norm and ReLU in one pass over memory; optional

  optim::Sgd sgd(optim::make_groups(net, {.weight_decay = 1e-4}), {.momentum = 0.9});
  data::Loader loader(digits.train, {.batch_size = 64,
                                     .shuffle = true,
                                     .last = data::LastBatch::keep,
                                     .normalization = normalization});
  const CrossEntropy loss;
  net.train();
  for (int epoch = 0; epoch < 3; ++epoch) {
    double total = 0;
    data::Batch batch;
    loader.start(epoch);
    while (loader.next(batch)) {
      net.zero_grad();
      const auto [value, gradient] = loss(net.forward(batch.x), batch.labels);
      net.backward(gradient);
      sgd.step(0.05);
      total += value;
    }
    std::printf("epoch %d: loss %.3f\n", epoch + 1,
                total / static_cast<double>(loader.batches_per_epoch()));
  }

  net.eval();  // running statistics from here on
  std::int64_t correct = 0;
  data::Loader test(digits.test, {.batch_size = 250, .normalization = normalization});
  data::Batch batch;
  test.start(0);
  while (test.next(batch)) correct += count_correct(net.forward(batch.x), batch.labels);
  std::printf("test accuracy %.1f %%\n",
              100.0 * static_cast<double>(correct) / static_cast<double>(digits.test.size()));
  return correct > digits.test.size() * 85 / 100 ? 0 : 1;
}
