#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include <evenkeel/core/error.h>
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/recalibration.h>

namespace evenkeel::nn {
namespace {

/// The tensor of a layer's own state under that name; shares its memory.
Tensor state_of(BatchNorm& layer, std::string_view name) {
  for (const auto& [key, tensor] : layer.state_dict()) {
    if (key == name) return tensor;
  }
  fail<StateError>("[recalibrate] {} has no {}", layer.label(), name);
}

/// The running statistics of a layer, and what takes their place.
class Statistics {
 public:
  Statistics(BatchNorm& layer, StatisticsMethod method)
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

  BatchNorm& layer() { return layer_; }
  const BatchNorm& layer() const { return layer_; }
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
      mean_.data<double>()[c] = blended(mean, old_mean, weight);
      var_.data<double>()[c] = blended(var, old_var, weight);
    }
    if (weight == 1) *count_.data<std::int64_t>() = batches_;
  }

  /// Not even a weight of 0 makes NaN go away: what is not finite is replaced.
  static double blended(double fresh, double old, double weight) {
    return std::isfinite(old) ? weight * fresh + (1 - weight) * old : fresh;
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

  BatchNorm& layer_;
  StatisticsMethod method_;
  Tensor mean_, var_, count_;  // the layer's
  Tensor mean_before_, var_before_, count_before_;
  std::vector<double> all_, one_;     // count, mean and M2 of everything and of one batch
  std::vector<double> means_, vars_;  // sums over the batches
  std::int64_t batches_ = 0;
};

/// Holds a set of layers observed, each by its own statistics, and lets go at the end. Whoever
/// observed them before goes on hearing.
class Observed {
 public:
  explicit Observed(std::span<Statistics> layers) : layers_(layers) {
    for (Statistics& one : layers_) before_.push_back(one.layer().observer());
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Statistics& one = layers_[i];
      one.layer().set_observer([&one, &earlier = before_[i]](const Tensor& x) {
        if (earlier) earlier(x);
        one.add(x);
      });
    }
  }
  ~Observed() {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      layers_[i].layer().set_observer(std::move(before_[i]));
    }
  }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;

 private:
  std::span<Statistics> layers_;
  std::vector<BatchNorm::Observer> before_;
};

/// Why a layer's statistics stay; empty where they can be taken.
std::string reason_to_keep(const BatchNorm& layer) {
  const Freeze frozen = layer.frozen();
  if (!layer.settings().track_running_stats) return "it has no running statistics";
  const bool held = frozen == Freeze::statistics || frozen == Freeze::all;
  return held ? "its statistics are held still (freeze)" : "";
}

class Recalibration {
 public:
  Recalibration(Module& network, const BatchSource& batches, const StatisticsOptions& options)
      : network_(network), batches_(batches), options_(options) {
    network.visit([&](const std::string& path, Module& module) {
      auto* const layer = dynamic_cast<BatchNorm*>(&module);
      if (layer == nullptr) return;
      std::string reason = reason_to_keep(*layer);
      if (reason.empty()) {
        layers_.emplace_back(*layer, options.method);
      } else {
        report_.kept.push_back({path, std::move(reason)});
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
    total_ = options_.samples * (at_once ? 1 : static_cast<std::int64_t>(all.size()));
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
    report_.samples = report_.batches = 0;
    batches_([this](const Tensor& x, const Lengths& valid) {
      const LengthsScope lengths(network_, valid);
      (void)network_.forward(x);
      network_.clear_saved();
      report_.samples += x.dim(0);
      ++report_.batches;
      done_ += x.dim(0);
      if (options_.progress) options_.progress(done_, total_);
    });
    for (Statistics& one : layers) one.write(options_.weight);
  }

  Module& network_;
  const BatchSource& batches_;
  const StatisticsOptions& options_;
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

RecalibrationReport recalibrate(Module& network, const BatchSource& batches,
                                const StatisticsOptions& options) {
  return Recalibration(network, batches, options).run();
}

bool can_recalibrate(Module& network) {
  bool found = false;
  network.visit([&](const std::string&, Module& module) {
    const auto* const layer = dynamic_cast<const BatchNorm*>(&module);
    found = found || (layer != nullptr && reason_to_keep(*layer).empty());
  });
  return found;
}

}  // namespace evenkeel::nn
