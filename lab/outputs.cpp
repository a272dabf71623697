#include "lab/outputs.h"

#include <cmath>

#include <evenkeel/core/random.h>
#include <evenkeel/data/loader.h>

namespace evenkeel::lab {
namespace {

constexpr std::uint64_t kShiftStream = 0x7368696674656163;

}  // namespace

Tensor outputs_of(nn::Module& network, const Material& material, const data::Dataset& part,
                  Layout layout) {
  data::LoaderOptions options;
  options.batch_size = part.size();
  options.normalization = material.normalization;
  options.layout = layout;
  options.prefetch = false;
  data::Loader loader(part, options);
  loader.start(0);
  data::Batch batch;
  loader.next(batch);
  network.eval();
  return network.forward(batch.x);
}

data::Dataset shifted_each(const data::Dataset& images, double least, std::uint64_t seed) {
  data::Dataset result = images;
  result.samples = images.samples.clone();
  const Random draws(seed, kShiftStream);
  for (std::int64_t i = 0; i < images.size(); ++i) {
    Random random = draws.fork(static_cast<std::uint64_t>(i));
    const double contrast = 1 - (1 - least) * random.uniform();
    const double brightness = (1 - contrast) / 2 * random.uniform(-1, 1);
    result.samples.slice(i, i + 1).copy_from(
        shifted(images.slice(i, i + 1), contrast, brightness).samples);
  }
  return result;
}

double change_of(const Tensor& before, const Tensor& after) {
  const std::int64_t n = before.dim(0), outputs = before.dim(1);
  const float* const x = before.data<float>();
  const float* const y = after.data<float>();
  double moved = 0, varied = 0;
  for (std::int64_t k = 0; k < outputs; ++k) {
    double mean = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      mean += static_cast<double>(x[i * outputs + k]) / static_cast<double>(n);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const auto was = static_cast<double>(x[i * outputs + k]);
      const auto is = static_cast<double>(y[i * outputs + k]);
      moved += (is - was) * (is - was);
      varied += (was - mean) * (was - mean);
    }
  }
  return std::sqrt(moved / varied);
}

}  // namespace evenkeel::lab
