#include <cmath>
#include <span>
#include <utility>

#include <evenkeel/core/error.h>
#include <evenkeel/core/memory.h>
#include <evenkeel/core/options.h>
#include <evenkeel/core/stored.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/train/percentiles.h>
#include <evenkeel/train/statistics_stream.h>

namespace evenkeel::train {
namespace {

/// The layer's own state of that name in double, or so many times `otherwise`.
std::vector<double> state_of(nn::BatchNorm& layer, std::string_view name, std::size_t count,
                             double otherwise) {
  for (const auto& [key, tensor] : layer.state_dict()) {
    if (key != name) continue;
    const Tensor wide = tensor.to(DType::f64);
    const auto values = wide.span<double>();
    return {values.begin(), values.end()};
  }
  return std::vector<double>(count, otherwise);
}

/// Whether this forward normalizes with the statistics of its batch.
bool uses_batch(const nn::BatchNorm& layer, std::int64_t count) {
  if (!layer.settings().track_running_stats) return true;
  if (!layer.training()) return false;
  const bool one = count == 1 && layer.settings().small_batch == nn::SmallBatch::running_stats;
  const nn::Freeze frozen = layer.frozen();
  return !one && frozen != nn::Freeze::statistics && frozen != nn::Freeze::all;
}

/// Whether training normalizes with more than mean and variance of the whole batch.
bool differs_in_training(const nn::BatchNorm& layer) {
  return layer.settings().ghost_size > 0 || layer.renorm().has_value();
}

/// y = scale·(x − centre) + shift per channel, in x's memory order.
Tensor mapped(const Tensor& x, std::span<const double> centre, std::span<const double> scale,
              std::span<const double> shift) {
  const DType wide = parameter_dtype(x.dtype());
  Tensor y = Tensor::empty(x.shape(), wide, x.layout());
  const ChannelDims dims = channel_dims(x.shape(), "statistics");
  // Channel by channel in stretches of its values: of all of a sample, or of one.
  const std::int64_t run = x.layout() == Layout::channels_first ? dims.s : 1;
  const std::int64_t rounds = dims.n * dims.s / run;
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    auto* to = y.data<Arithmetic<T>>();
    for (std::int64_t i = 0; i < rounds; ++i) {
      for (std::size_t c = 0; c < scale.size(); ++c) {
        for (std::int64_t k = 0; k < run; ++k) {
          const double value = scale[c] * (in_double(*from++) - centre[c]) + shift[c];
          *to++ = static_cast<Arithmetic<T>>(value);
        }
      }
    }
  });
  return y;
}

}  // namespace

std::vector<double> NormStatistics::mean_gap() const {
  std::vector<double> gaps;
  for (std::size_t c = 0; c < running_mean.size(); ++c) {
    gaps.push_back(std::abs(mean[c] - running_mean[c]) / std::sqrt(running_var[c] + eps));
  }
  return gaps;
}

std::vector<double> NormStatistics::std_ratio() const {
  const auto m = static_cast<double>(count);
  const double correction = unbiased && count > 1 ? m / (m - 1) : 1;
  std::vector<double> ratios;
  for (std::size_t c = 0; c < running_var.size(); ++c) {
    ratios.push_back(std::sqrt((var[c] * correction + eps) / (running_var[c] + eps)));
  }
  return ratios;
}

/// Of one layer. Shared with its observer and watch, which may outlive the stream where probes end
/// in another order.
class StatisticsStream::Listener {
 public:
  Listener(nn::BatchNorm& layer, const StatisticsStreamOptions& options)
      : layer_(layer), options_(options), watched_(options.values && differs_in_training(layer)) {
    last_.path = layer.path();
    last_.eps = layer.settings().eps;
    last_.unbiased = layer.settings().unbiased;
  }

  static void attach(const std::shared_ptr<Listener>& self) {
    self->observer_before_ = self->layer_.observer();
    self->layer_.set_observer([self, earlier = self->observer_before_](const Tensor& x) {
      if (earlier) earlier(x);
      self->hear_input(x);
    });
    if (!self->watched_) return;
    self->watch_before_ = self->layer_.watch();
    nn::Watch watch = self->watch_before_;
    watch.forward = [self, earlier = self->watch_before_.forward](const Tensor& y) {
      if (earlier) earlier(y);
      self->hear_output(y);
    };
    self->layer_.set_watch(std::move(watch));
  }
  void detach() {
    layer_.set_observer(std::move(observer_before_));
    if (watched_) layer_.set_watch(std::move(watch_before_));
  }

  const NormStatistics& last() const { return last_; }
  NormSummary summary() const {
    const auto of = [&](const std::vector<double>& values) {
      return percentiles(values, options_.percentiles);
    };
    const std::vector<double> nothing = of({});
    return {last_.path,
            of(last_.mean_gap()),
            of(last_.std_ratio()),
            of(last_.gamma),
            of(last_.beta),
            input_.empty() ? nothing : input_,
            output_.empty() ? nothing : output_};
  }

 private:
  void hear_input(const Tensor& x) {
    if (x.numel() == 0) return;
    take_statistics(x);
    if (!options_.values) return;
    input_ = percentiles(x, options_.percentiles);
    const bool later = watched_ && layer_.training();
    output_ = later ? std::vector<double>{} : percentiles(normalized(x), options_.percentiles);
  }

  void hear_output(const Tensor& y) {
    if (layer_.training()) output_ = percentiles(y, options_.percentiles);
  }

  void take_statistics(const Tensor& x) {
    const auto channels = static_cast<std::size_t>(layer_.channels());
    const norm::ConstChannelView view = norm::view(x);
    const std::size_t bytes = norm::workspace_size(view);
    const auto workspace = allocate(bytes);
    std::vector<double> counts(channels);
    last_.mean.resize(channels);
    last_.var.resize(channels);
    norm::collect(view, {counts, last_.mean, last_.var}, {workspace.get(), bytes});
    for (std::size_t c = 0; c < channels; ++c) last_.var[c] /= counts[c];
    last_.count = static_cast<std::int64_t>(counts[0]);
    last_.running_mean = state_of(layer_, "running_mean", 0, 0);
    last_.running_var = state_of(layer_, "running_var", 0, 0);
    last_.gamma = state_of(layer_, "weight", channels, 1);
    last_.beta = state_of(layer_, "bias", channels, 0);
  }

  Tensor normalized(const Tensor& x) const {
    const bool batch = uses_batch(layer_, last_.count);
    const std::vector<double>& var = batch ? last_.var : last_.running_var;
    std::vector<double> scale(var.size());
    for (std::size_t c = 0; c < var.size(); ++c) {
      scale[c] = last_.gamma[c] / std::sqrt(var[c] + last_.eps);
    }
    return mapped(x, batch ? last_.mean : last_.running_mean, scale, last_.beta);
  }

  nn::BatchNorm& layer_;
  StatisticsStreamOptions options_;
  bool watched_;  // the output is taken from what the layer gives
  nn::BatchNorm::Observer observer_before_;
  nn::Watch watch_before_;
  NormStatistics last_;
  std::vector<double> input_, output_;  // percentiles; empty where there are none
};

StatisticsStream::StatisticsStream(nn::Module& network, StatisticsStreamOptions options)
    : options_(std::move(options)) {
  (void)percentiles(std::vector<double>{}, options_.percentiles);  // throws what it would later
  network.visit([this](const std::string&, nn::Module& module) {
    auto* const layer = dynamic_cast<nn::BatchNorm*>(&module);
    if (layer != nullptr) listeners_.push_back(std::make_shared<Listener>(*layer, options_));
  });
  for (const std::shared_ptr<Listener>& one : listeners_) Listener::attach(one);
}

StatisticsStream::~StatisticsStream() {
  for (const std::shared_ptr<Listener>& one : listeners_) one->detach();
}

std::vector<NormStatistics> StatisticsStream::last() const {
  std::vector<NormStatistics> all;
  for (const std::shared_ptr<Listener>& one : listeners_) all.push_back(one->last());
  return all;
}

const NormStatistics& StatisticsStream::last(std::string_view path) const {
  std::vector<std::string> paths;
  for (const std::shared_ptr<Listener>& one : listeners_) {
    if (one->last().path == path) return one->last();
    paths.push_back(one->last().path);
  }
  fail<UsageError>("[statistics] expected the path of one of {} batch norms, got '{}'{}",
                   paths.size(), path, did_you_mean(path, paths));
}

std::vector<NormSummary> StatisticsStream::summaries() const {
  std::vector<NormSummary> all;
  for (const std::shared_ptr<Listener>& one : listeners_) {
    if (one->last().count > 0) all.push_back(one->summary());
  }
  return all;
}

}  // namespace evenkeel::train
