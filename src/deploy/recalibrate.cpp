#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <evenkeel/core/error.h>
#include <evenkeel/core/memory.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/deploy/recalibrate.h>
#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::deploy {
namespace {

/// The tensor of a layer's own state under that name; shares its memory.
Tensor state_of(nn::BatchNorm& layer, std::string_view name) {
  for (const auto& [key, tensor] : layer.state_dict()) {
    if (key == name) return tensor;
  }
  fail<StateError>("[recalibrate] {} has no {}", layer.label(), name);
}

/// The running statistics of a layer, and what takes their place.
class Statistics {
 public:
  Statistics(nn::BatchNorm& layer, StatisticsMethod method)
      : layer_(layer),
        method_(method),
        mean_(state_of(layer, "running_mean")),
        var_(state_of(layer, "running_var")),
        count_(state_of(layer, "num_batches_tracked")),
        mean_before_(mean_.clone()),
        var_before_(var_.clone()),
        count_before_(count_.clone()) {
    const auto channels = static_cast<std::size_t>(layer.channels());
    for (auto* sums : {&all_, &one_}) sums->assign(3 * channels, 0.0);
    means_.assign(channels, 0.0);
    vars_.assign(channels, 0.0);
  }

  nn::BatchNorm& layer() { return layer_; }
  const nn::BatchNorm& layer() const { return layer_; }
  bool seen() const { return batches_ > 0; }

  /// Takes a batch in.
  void add(const Tensor& x) {
    const norm::ConstChannelView view = norm::view(x);
    if (x.numel() == 0) return;
    const std::size_t bytes = norm::workspace_size(view);
    const auto workspace = allocate(bytes);
    norm::collect(view, moments(one_), {workspace.get(), bytes});
    const norm::Moments batch = moments(one_);
    for (std::size_t c = 0; c < means_.size(); ++c) {
      if (!std::isfinite(batch.mean[c]) || !std::isfinite(batch.m2[c])) {
        fail<NumericError>(
            "[recalibrate] {} gets values that are not finite in channel {}; its statistics, or "
            "those of a layer before it, cannot be taken",
            layer_.label(), c);
      }
      const double least = layer_.settings().unbiased ? 1 : 0;
      means_[c] += batch.mean[c];
      vars_[c] += batch.m2[c] / std::max(batch.count[c] - least, 1.0);
    }
    norm::combine(moments(all_), batch);
    ++batches_;
  }

  /// Puts what was taken in the place of the running statistics.
  void write(double weight) {
    count_.copy_from(count_before_);
    if (batches_ == 0) {
      restore();
      return;
    }
    const norm::Moments total = moments(all_);
    const bool exact = method_ == StatisticsMethod::exact;
    const auto batches = static_cast<double>(batches_);
    for (std::size_t c = 0; c < means_.size(); ++c) {
      const double mean = exact ? total.mean[c] : means_[c] / batches;
      const double var = exact ? total.m2[c] / total.count[c] : vars_[c] / batches;
      const double old_mean = mean_before_.span<double>()[c];
      const double old_var = var_before_.span<double>()[c];
      mean_.data<double>()[c] = weight * mean + (1 - weight) * old_mean;
      var_.data<double>()[c] = weight * var + (1 - weight) * old_var;
    }
    if (weight == 1) *count_.data<std::int64_t>() = batches_;
  }

  void restore() {
    mean_.copy_from(mean_before_);
    var_.copy_from(var_before_);
    count_.copy_from(count_before_);
  }

  RecalibrationReport::Layer report() const {
    RecalibrationReport::Layer result;
    result.path = layer_.path();
    result.narrowest = std::numeric_limits<double>::infinity();
    result.widest = 0;
    const double eps = layer_.settings().eps;  // which a channel that never varies is left with
    for (std::size_t c = 0; c < means_.size(); ++c) {
      const double sigma = std::sqrt(std::as_const(var_).span<double>()[c] + eps);
      const double before = std::sqrt(var_before_.span<double>()[c] + eps);
      const double moved =
          std::abs(std::as_const(mean_).span<double>()[c] - mean_before_.span<double>()[c]);
      result.shift = std::max(result.shift, moved / sigma);
      result.narrowest = std::min(result.narrowest, sigma / before);
      result.widest = std::max(result.widest, sigma / before);
    }
    return result;
  }

 private:
  norm::Moments moments(std::vector<double>& memory) const {
    const std::size_t channels = memory.size() / 3;
    const std::span<double> all(memory);
    return {all.first(channels), all.subspan(channels, channels), all.last(channels)};
  }

  nn::BatchNorm& layer_;
  StatisticsMethod method_;
  Tensor mean_, var_, count_;  // the layer's
  Tensor mean_before_, var_before_, count_before_;
  std::vector<double> all_, one_;     // count, mean and M2 of everything and of one batch
  std::vector<double> means_, vars_;  // sums over the batches
  std::int64_t batches_ = 0;
};

/// Holds a set of layers observed, each by its own statistics, and lets go at the end.
class Observed {
 public:
  explicit Observed(std::span<Statistics> layers) : layers_(layers) {
    for (Statistics& one : layers_) {
      one.layer().set_observer([&one](const Tensor& x) { one.add(x); });
    }
  }
  ~Observed() {
    for (Statistics& one : layers_) one.layer().set_observer({});
  }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;

 private:
  std::span<Statistics> layers_;
};

void check(const data::Dataset& dataset, const RecalibrationOptions& options) {
  if (dataset.size() < 2) {
    fail<UsageError>("[recalibrate] expected two samples or more, got {}", dataset.size());
  }
  if (options.batch_size < 2) {
    fail<UsageError>("[recalibrate] expected a batch size of 2 or more, got {}",
                     options.batch_size);
  }
  if (options.samples != 0 && (options.samples < 2 || options.samples > dataset.size())) {
    fail<UsageError>("[recalibrate] expected 2 to {} samples, as many as there are, got {}",
                     dataset.size(), options.samples);
  }
  if (!(options.weight > 0 && options.weight <= 1)) {
    fail<UsageError>("[recalibrate] expected a weight above 0 and up to 1, got {}", options.weight);
  }
}

/// The samples that are used, in an order of their own: batches of one class have other statistics.
data::Dataset drawn(const data::Dataset& dataset, const RecalibrationOptions& options) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Random random(options.seed, 0x5265);
  random.shuffle(order);
  if (options.samples != 0) order.resize(static_cast<std::size_t>(options.samples));
  return dataset.select(order);
}

class Recalibration {
 public:
  Recalibration(nn::Module& network, const data::Dataset& dataset,
                const data::Normalization& normalization, const RecalibrationOptions& options)
      : network_(network), options_(options), samples_(drawn(dataset, options)) {
    loading_.batch_size = options.batch_size;
    loading_.last = data::LastBatch::keep;
    loading_.normalization = normalization;
    loading_.layout = options.layout;
    loading_.dtype = options.dtype;
    network.visit([&](const std::string& path, nn::Module& module) {
      auto* const layer = dynamic_cast<nn::BatchNorm*>(&module);
      if (layer == nullptr) return;
      const nn::Freeze frozen = layer->frozen();
      if (!layer->settings().track_running_stats) {
        report_.kept.push_back({path, "it has no running statistics"});
      } else if (frozen == nn::Freeze::statistics || frozen == nn::Freeze::all) {
        report_.kept.push_back({path, "its statistics are held still (freeze)"});
      } else {
        layers_.emplace_back(*layer, options.method);
      }
    });
    if (layers_.empty()) {
      fail<UsageError>("[recalibrate] the network has no batch norm whose statistics can be taken");
    }
  }

  RecalibrationReport run() {
    network_.eval();
    const std::span<Statistics> all(layers_);
    const bool at_once = options_.order == StatisticsOrder::at_once;
    total_ = samples_.size() * (at_once ? 1 : static_cast<std::int64_t>(all.size()));
    try {
      if (at_once) {
        for (Statistics& one : all) one.layer().train();
        pass(all);
      } else {
        for (std::size_t i = 0; i < all.size(); ++i) {
          pass(all.subspan(i, 1));
        }
      }
    } catch (...) {
      network_.clear_saved();
      for (Statistics& one : all) one.restore();
      network_.eval();
      throw;
    }
    network_.eval();
    // A sample that was left over is passed over.
    if (options_.progress && done_ < total_) options_.progress(total_, total_);
    for (const Statistics& one : all) {
      if (one.seen()) {
        report_.layers.push_back(one.report());
      } else {
        report_.kept.push_back({one.layer().path(), "no value of the network goes through it"});
      }
    }
    return std::move(report_);
  }

 private:
  void pass(std::span<Statistics> layers) {
    const Observed observed(layers);
    data::Loader loader(samples_, loading_);
    loader.start(0);
    report_.samples = report_.batches = 0;
    for (data::Batch batch; loader.next(batch);) {
      const nn::LengthsScope lengths(network_, nn::Lengths(batch.lengths));
      (void)network_.forward(batch.x);
      network_.clear_saved();
      report_.samples += batch.size();
      ++report_.batches;
      done_ += batch.size();
      if (options_.progress) options_.progress(done_, total_);
    }
    for (Statistics& one : layers) one.write(options_.weight);
  }

  nn::Module& network_;
  const RecalibrationOptions& options_;
  data::Dataset samples_;
  data::LoaderOptions loading_;
  std::vector<Statistics> layers_;
  RecalibrationReport report_;
  std::int64_t done_ = 0, total_ = 0;  // samples, over all passes
};

}  // namespace

std::string_view name_of(StatisticsMethod method) {
  return method == StatisticsMethod::exact ? "exact" : "averages";
}

std::string_view name_of(StatisticsOrder order) {
  return order == StatisticsOrder::at_once ? "at-once" : "layer-by-layer";
}

RecalibrationReport recalibrate(nn::Module& network, const data::Dataset& dataset,
                                const data::Normalization& normalization,
                                const RecalibrationOptions& options) {
  check(dataset, options);
  return Recalibration(network, dataset, normalization, options).run();
}

}  // namespace evenkeel::deploy
