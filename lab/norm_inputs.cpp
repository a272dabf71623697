#include "lab/norm_inputs.h"

#include <memory>

#include <evenkeel/data/loader.h>
#include <evenkeel/train/statistics_stream.h>

namespace evenkeel::lab {

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
  train::StatisticsStream stream(*copy, {.values = false});
  std::vector<NormInputs> inputs;
  for (const train::NormStatistics& layer : stream.last()) inputs.push_back({.path = layer.path});
  if (inputs.empty()) return inputs;
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
    const std::vector<train::NormStatistics> last = stream.last();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      inputs[i].means.push_back(last[i].mean);
      inputs[i].variances.push_back(last[i].var);
    }
  }
  return inputs;
}

}  // namespace evenkeel::lab
