#include "lab/small_nets.h"

#include <evenkeel/nn/layers/batch_renorm.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::lab {
namespace {

nn::Sequential build(const SmallNet& net, const Shape& sample, std::int64_t classes) {
  nn::Sequential result;
  std::int64_t features = net.convolutional ? sample[0] : sample.numel();
  std::int64_t height = net.convolutional ? sample[1] : 1;
  std::int64_t width = net.convolutional ? sample[2] : 1;
  if (!net.convolutional && sample.rank() > 1) result.add(nn::Flatten());
  for (std::size_t i = 0; i < net.widths.size(); ++i) {
    const Place place{net.widths[i], net.convolutional, i + 1 == net.widths.size()};
    if (net.convolutional) {
      result.add(
          nn::Conv2d(features, place.features, 3, {.stride = 2, .padding = 1, .bias = net.bias}));
      height = (height + 1) / 2;
      width = (width + 1) / 2;
    } else {
      result.add(nn::Linear(features, place.features, {.bias = net.bias}));
    }
    net.tail(result, place);
    features = place.features;
  }
  if (net.convolutional) result.add(nn::Flatten());
  result.add(nn::Linear(features * height * width, classes));
  return result;
}

}  // namespace

std::function<std::unique_ptr<nn::Module>(std::uint64_t seed)> builder(const Material& material,
                                                                       const SmallNet& net) {
  return [net, sample = material.sample(), classes = material.classes()](std::uint64_t seed) {
    auto network = std::make_unique<nn::Sequential>(build(net, sample, classes));
    network->initialize(seed);
    return network;
  };
}

Layout layout_for(const SmallNet& net) {
  return net.convolutional ? Layout::channels_last : Layout::channels_first;
}

std::unique_ptr<nn::Module> make_batch_norm(const Place& place, nn::BatchNormOptions options) {
  options.small_batch = nn::SmallBatch::running_stats;
  if (place.spatial) return std::make_unique<nn::BatchNorm2d>(place.features, options);
  return std::make_unique<nn::BatchNorm1d>(place.features, options);
}

std::unique_ptr<nn::Module> make_batch_renorm(const Place& place, nn::BatchNormOptions options,
                                              const nn::RenormOptions& renorm) {
  options.small_batch = nn::SmallBatch::running_stats;
  if (place.spatial) return std::make_unique<nn::BatchRenorm2d>(place.features, options, renorm);
  return std::make_unique<nn::BatchRenorm1d>(place.features, options, renorm);
}

}  // namespace evenkeel::lab
