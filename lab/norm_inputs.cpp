#include "lab/norm_inputs.h"

#include <memory>

#include <evenkeel/data/loader.h>
#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::lab {
namespace {

void record(NormInputs& inputs, const Tensor& input) {
  const Tensor x = input.to(Layout::channels_first);
  const std::int64_t samples = x.dim(0), channels = x.dim(1);
  const std::int64_t area = x.numel() / (samples * channels);
  const auto count = static_cast<double>(samples * area);
  const float* const values = x.data<float>();
  std::vector<double> means, variances;
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto over_channel = [&](const auto& add) {
      for (std::int64_t n = 0; n < samples; ++n) {
        const float* const map = values + (n * channels + c) * area;
        for (std::int64_t i = 0; i < area; ++i) add(static_cast<double>(map[i]));
      }
    };
    double sum = 0, squares = 0;
    over_channel([&](double value) { sum += value; });
    const double mean = sum / count;
    over_channel([&](double value) { squares += (value - mean) * (value - mean); });
    means.push_back(mean);
    variances.push_back(squares / count);
  }
  inputs.means.push_back(std::move(means));
  inputs.variances.push_back(std::move(variances));
}

}  // namespace

std::vector<double> NormInputs::pooled_variances() const {
  if (means.empty()) return {};
  const auto batches = static_cast<double>(means.size());
  std::vector<double> pooled(means.front().size());
  for (std::size_t c = 0; c < pooled.size(); ++c) {
    double mean = 0;
    for (const auto& batch : means) mean += batch[c] / batches;
    for (std::size_t b = 0; b < means.size(); ++b) {
      const double gap = means[b][c] - mean;
      pooled[c] += (variances[b][c] + gap * gap) / batches;
    }
  }
  return pooled;
}

std::vector<NormInputs> observe_norms(const nn::Module& network, const Material& material,
                                      const data::Dataset& part, const PredictionOptions& options) {
  const std::unique_ptr<nn::Module> copy = network.clone();
  copy->train(options.mode == train::EvalMode::train);
  std::vector<NormInputs> inputs;
  std::vector<nn::BatchNorm*> layers;
  copy->visit([&](const std::string& path, nn::Module& module) {
    if (auto* const layer = dynamic_cast<nn::BatchNorm*>(&module)) {
      inputs.push_back({.path = path});
      layers.push_back(layer);
    }
  });
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i]->set_observer([&inputs, i](const Tensor& x) { record(inputs[i], x); });
  }
  if (layers.empty()) return inputs;
  data::Loader loader(part, {.batch_size = options.batch_size,
                             .last = data::LastBatch::drop,
                             .normalization = material.normalization,
                             .layout = options.layout,
                             .prefetch = false});
  loader.start(0);
  for (data::Batch batch; loader.next(batch);) {
    const nn::LengthsScope lengths(*copy, nn::Lengths(batch.lengths));
    copy->forward(batch.x);
    copy->clear_saved();
  }
  return inputs;
}

}  // namespace evenkeel::lab
