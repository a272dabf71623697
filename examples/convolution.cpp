// A convolutional block, Conv2d–BatchNorm2d–ReLU, and what train() and eval() change.
#include <evenkeel/nn/nn.h>

#include <cmath>
#include <cstdio>

using namespace evenkeel;
using namespace evenkeel::nn;

int main() {
  Sequential net{Conv2d(3, 64, 3), BatchNorm2d(64), ReLU()};
  net.initialize(1);

  Tensor images = Tensor::empty({8, 3, 32, 32}, DType::f32, Layout::channels_last);
  Random(2).fill_normal(images.span<float>(), 5.0F, 2.0F);

  net.train();
  for (int step = 0; step < 50; ++step) net.forward(images);  // running statistics settle
  net.clear_saved();                                          // no backward will follow
  const Tensor training = net.forward(images);

  net.eval();
  const Tensor inference = net.forward(images);
  double difference = 0;
  for (std::int64_t i = 0; i < training.numel(); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(training.data<float>()[i]) -
                                               static_cast<double>(inference.data<float>()[i])));
  }
  std::printf("%s\n", describe(net, images.shape()).c_str());
  std::printf("largest difference between training and inference on the same batch: %.4f\n",
              difference);
  return difference < 0.05 ? 0 : 1;
}
