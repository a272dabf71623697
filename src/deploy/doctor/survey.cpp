#include "deploy/doctor/survey.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <evenkeel/core/error.h>
#include <evenkeel/core/memory.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/loss.h>

namespace evenkeel::deploy {
namespace {

constexpr std::int64_t kUsualBatch = 64;
/// From so few batches their spread is not known.
constexpr std::int64_t kFewBatches = 8;

/// Mean and spread of a sequence of numbers (Welford).
struct Spread {
  double mean = 0, m2 = 0;

  void add(double value, std::int64_t count) {
    const double step = value - mean;
    mean += step / static_cast<double>(count);
    m2 += step * (value - mean);
  }
  double deviation(std::int64_t count) const {
    return count < 2 ? 0 : std::sqrt(m2 / static_cast<double>(count - 1));
  }
};

/// Gathers what goes into one batch norm.
class Listener {
 public:
  explicit Listener(nn::BatchNorm& layer)
      : layer_(layer), channels_(static_cast<std::size_t>(layer.channels())) {
    for (auto* sums : {&all_, &one_}) sums->assign(3 * channels_, 0.0);
    means_.resize(channels_);
    vars_.resize(channels_);
    finite_.assign(channels_, true);
    layer_.set_observer([this](const Tensor& x) { add(x); });
  }
  ~Listener() { layer_.set_observer({}); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const std::string& path() const { return layer_.path(); }
  bool heard() const { return batches_ > 0; }

  LayerSurvey result(std::int64_t batch_size) {
    const norm::Moments total = moments(all_);
    LayerSurvey result;
    result.batches = batches_;
    result.finite = finite_;
    const double n = static_cast<double>(std::max<std::int64_t>(batch_size, 2));
    for (std::size_t c = 0; c < channels_; ++c) {
      const double var = total.m2[c] / std::max(total.count[c], 1.0);
      double mean_noise = means_[c].deviation(batches_);
      double var_noise = vars_[c].deviation(batches_);
      if (batches_ < kFewBatches) {
        // As if the values of a sample were all the same: no less can be said for certain.
        mean_noise = std::max(mean_noise, std::sqrt(var / n));
        var_noise = std::max(var_noise, var * std::sqrt(2 / (n - 1)));
      }
      result.mean.push_back(total.mean[c]);
      result.var.push_back(var);
      result.mean_noise.push_back(mean_noise);
      result.var_noise.push_back(var_noise);
    }
    return result;
  }

 private:
  norm::Moments moments(std::vector<double>& memory) const {
    const std::span<double> all(memory);
    return {all.first(channels_), all.subspan(channels_, channels_), all.last(channels_)};
  }

  void add(const Tensor& x) {
    if (x.numel() == 0) return;
    const norm::ConstChannelView view = norm::view(x);
    const std::size_t bytes = norm::workspace_size(view);
    const auto workspace = allocate(bytes);
    const norm::Moments batch = moments(one_);
    norm::collect(view, batch, {workspace.get(), bytes});
    ++batches_;
    for (std::size_t c = 0; c < channels_; ++c) {
      if (!std::isfinite(batch.mean[c]) || !std::isfinite(batch.m2[c])) {
        finite_[c] = false;
        continue;
      }
      const double var = batch.m2[c] / std::max(batch.count[c], 1.0);
      means_[c].add(batch.mean[c], batches_);
      vars_[c].add(var, batches_);
    }
    norm::combine(moments(all_), batch);
  }

  nn::BatchNorm& layer_;
  std::size_t channels_;
  std::vector<double> all_, one_;  // count, mean and M2 of everything and of one batch
  std::vector<Spread> means_, vars_;
  std::vector<bool> finite_;
  std::int64_t batches_ = 0;
};

/// The samples that are used, in an order of their own, in whole batches.
data::Dataset drawn(const data::Dataset& dataset, const DoctorOptions& options,
                    std::int64_t batch_size) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Random random(options.seed, 0x446f);
  random.shuffle(order);
  const std::int64_t wanted =
      options.samples == 0 ? dataset.size() : std::min(options.samples, dataset.size());
  const std::int64_t whole = std::max<std::int64_t>(wanted / batch_size, 1) * batch_size;
  order.resize(static_cast<std::size_t>(std::min(whole, dataset.size())));
  return dataset.select(order);
}

bool finite_row(const float* row, std::int64_t count) {
  return std::all_of(row, row + count, [](float value) { return std::isfinite(value); });
}

/// Samples of an output of any shape that hold NaN or infinities.
std::int64_t spoiled_samples(const Tensor& output) {
  if (output.rank() < 1 || output.numel() == 0) return 0;
  const Tensor flat = output.to(Layout::channels_first).to(DType::f32);
  const std::int64_t samples = flat.dim(0), each = flat.numel() / samples;
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < samples; ++i) {
    count += finite_row(flat.data<float>() + i * each, each) ? 0 : 1;
  }
  return count;
}

/// Why labels say nothing of this output; empty where they do.
std::string reason_against_labels(const data::Dataset& dataset, const Tensor& output) {
  if (static_cast<std::int64_t>(dataset.labels.size()) != dataset.size()) {
    return "the data have no labels";
  }
  if (output.rank() != 2) {
    return "the network's output " + output.shape().str() + " is not one score per class";
  }
  if (std::ranges::any_of(dataset.labels,
                          [&](std::int32_t label) { return label >= output.dim(1); })) {
    return fmt::format("the data have labels beyond the network's {} classes", output.dim(1));
  }
  return {};
}

class Surveyor {
 public:
  Surveyor(const nn::Module& network, const data::Dataset& dataset,
           const data::Normalization& normalization, const DoctorOptions& options)
      : network_(network.clone()), options_(options) {
    network_->eval();
    network_->visit([&](const std::string& /*path*/, nn::Module& module) {
      if (auto* layer = dynamic_cast<nn::BatchNorm*>(&module)) norms_.push_back(layer);
    });
    std::int64_t size = options.batch_size;
    if (size == 0) size = std::max<std::int64_t>(options.training_batch.value_or(kUsualBatch), 2);
    for (const nn::BatchNorm* layer : norms_) size = std::max(size, layer->least_samples());
    loading_.batch_size = std::min(size, dataset.size());
    loading_.normalization = normalization;
    loading_.layout = options.layout;
    loading_.dtype = options.dtype;
    samples_ = drawn(dataset, options, loading_.batch_size);
    total_ = samples_.size() * (norms_.empty() ? 1 : 2);
  }

  Survey run() {
    result_.samples = samples_.size();
    result_.batch_size = loading_.batch_size;
    result_.running = pass(true);
    if (norms_.empty()) return std::move(result_);
    std::vector<std::unique_ptr<Listener>> listeners;
    for (nn::BatchNorm* layer : norms_) {
      layer->train();
      listeners.push_back(std::make_unique<Listener>(*layer));
    }
    result_.batch = pass(false);
    for (const auto& listener : listeners) {
      if (listener->heard()) {
        result_.layers[listener->path()] = listener->result(result_.batch_size);
      }
    }
    return std::move(result_);
  }

 private:
  std::optional<Quality> pass(bool first) {
    const nn::CrossEntropy loss;
    double sum = 0;
    std::int64_t correct = 0;
    data::Loader loader(samples_, loading_);
    loader.start(0);
    result_.batches = 0;
    for (data::Batch batch; loader.next(batch);) {
      const nn::LengthsScope lengths(*network_, nn::Lengths(batch.lengths));
      const Tensor output = network_->forward(batch.x);
      network_->clear_saved();
      if (first) {
        result_.spoiled += spoiled_samples(output);
        if (done_ == 0) result_.no_labels = reason_against_labels(samples_, output);
      }
      if (result_.no_labels.empty()) {
        const double mean = options_.probabilities ? nn::negative_log(output, batch.labels)
                                                   : loss.value(output, batch.labels);
        sum += mean * static_cast<double>(batch.size());
        correct += nn::count_correct(output, batch.labels);
      }
      ++result_.batches;
      done_ += batch.size();
      if (options_.progress) options_.progress(done_, total_);
    }
    if (!result_.no_labels.empty()) return std::nullopt;
    const auto count = static_cast<double>(samples_.size());
    return Quality{static_cast<double>(correct) / count, sum / count};
  }

  std::unique_ptr<nn::Module> network_;
  const DoctorOptions& options_;
  std::vector<nn::BatchNorm*> norms_;
  data::LoaderOptions loading_;
  data::Dataset samples_;
  Survey result_;
  std::int64_t done_ = 0, total_ = 0;
};

void check(const data::Dataset& dataset, const DoctorOptions& options) {
  if (dataset.size() < 2) {
    fail<UsageError>("[doctor] expected two samples or more, got {}", dataset.size());
  }
  if (options.samples != 0 && options.samples < 2) {
    fail<UsageError>("[doctor] expected 2 samples or more, or 0 for all, got {}", options.samples);
  }
  if (options.batch_size != 0 && options.batch_size < 2) {
    fail<UsageError>("[doctor] expected a batch size of 2 or more, got {}", options.batch_size);
  }
}

}  // namespace

Survey survey(const nn::Module& network, const data::Dataset& dataset,
              const data::Normalization& normalization, const DoctorOptions& options) {
  check(dataset, options);
  return Surveyor(network, dataset, normalization, options).run();
}

}  // namespace evenkeel::deploy
