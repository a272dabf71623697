// The oracle: every normalization in double, straight from its definition, at a few places.

#include <algorithm>
#include <cmath>
#include <map>

#include "problem.h"

namespace evenkeel::bench {
namespace {

struct Moments {
  double mean = 0, var = 0;
  double inv_std = 0;
};

/// Sums over all values that share a mean.
struct GradientMeans {
  double g = 0, g_xhat = 0;  ///< means of γ·g and γ·g·x̂ (batch norm: without γ)
};

class Oracle {
 public:
  Oracle(const Problem& problem, const Work& work)
      : problem_(problem),
        work_(work),
        size_(problem.size()),
        x_(problem.x(Layout::channels_first).data<float>()),
        dy_(problem.dy(Layout::channels_first).data<float>()),
        add_(problem.add(Layout::channels_first).data<float>()) {}

  Expected run() {
    for (const std::int64_t set : sample(set_count(), 4)) visit_set(set);
    for (const std::int64_t c : sample(size_.c, 3)) visit_parameter(c);
    return std::move(expected_);
  }

 private:
  bool over_batch() const { return work_.family == Family::batch_norm; }
  std::int64_t channels_per_group() const { return size_.c / size_.groups; }
  /// Sets of values that share a mean: channels, or groups of samples.
  std::int64_t set_count() const { return over_batch() ? size_.c : size_.n * size_.groups; }
  std::int64_t set_size() const {
    return over_batch() ? size_.n * size_.s() : channels_per_group() * size_.s();
  }
  std::int64_t set_of(std::int64_t n, std::int64_t c) const {
    return over_batch() ? c : n * size_.groups + c / channels_per_group();
  }
  /// The element number, channels first, of value i of a set.
  std::int64_t element(std::int64_t set, std::int64_t i) const {
    if (!over_batch()) return set * set_size() + i;
    return (i / size_.s() * size_.c + set) * size_.s() + i % size_.s();
  }
  std::int64_t channel_of(std::int64_t element) const { return element / size_.s() % size_.c; }

  static std::vector<std::int64_t> sample(std::int64_t count, std::int64_t wanted) {
    std::vector<std::int64_t> numbers;
    const std::int64_t some = std::min(count, wanted);
    for (std::int64_t i = 0; i < some; ++i) {
      numbers.push_back(some == 1 ? 0 : i * (count - 1) / (some - 1));
    }
    return numbers;
  }

  const Moments& moments(std::int64_t set) {
    const auto known = moments_.find(set);
    if (known != moments_.end()) return known->second;
    Moments result;
    const auto m = static_cast<double>(set_size());
    if (work_.operation == Operation::inference && over_batch()) {
      result.mean = static_cast<double>(problem_.running_mean[static_cast<std::size_t>(set)]);
      result.var = static_cast<double>(problem_.running_var[static_cast<std::size_t>(set)]);
    } else {
      for (std::int64_t i = 0; i < set_size(); ++i) result.mean += value(x_, element(set, i)) / m;
      for (std::int64_t i = 0; i < set_size(); ++i) {
        const double centred = value(x_, element(set, i)) - result.mean;
        result.var += centred * centred / m;
      }
    }
    result.inv_std = 1 / std::sqrt(result.var + Problem::kEps);
    return moments_.emplace(set, result).first->second;
  }

  static double value(const float* values, std::int64_t i) {
    return static_cast<double>(values[i]);
  }
  double gamma(std::int64_t i) const {
    return static_cast<double>(problem_.gamma[static_cast<std::size_t>(channel_of(i))]);
  }
  double xhat(std::int64_t i, const Moments& of) const {
    return (value(x_, i) - of.mean) * of.inv_std;
  }
  /// What the activation sees.
  double before(std::int64_t i, const Moments& of) const {
    const auto c = static_cast<std::size_t>(channel_of(i));
    return gamma(i) * xhat(i, of) + static_cast<double>(problem_.beta[c]) +
           (work_.add ? value(add_, i) : 0.0);
  }
  /// The gradient behind the activation.
  double g(std::int64_t i, const Moments& of) const {
    return work_.relu && before(i, of) <= 0 ? 0.0 : value(dy_, i);
  }

  void visit_set(std::int64_t set) {
    constexpr std::int64_t kPlaces = 1500;
    const Moments of = moments(set);
    GradientMeans means;
    const bool backward = work_.operation == Operation::backward;
    if (backward) {
      for (std::int64_t i = 0; i < set_size(); ++i) {
        const std::int64_t place = element(set, i);
        const double scaled = g(place, of) * gamma(place);
        means.g += scaled;
        means.g_xhat += scaled * xhat(place, of);
      }
      means.g /= static_cast<double>(set_size());
      means.g_xhat /= static_cast<double>(set_size());
    }
    const std::int64_t step = std::max<std::int64_t>(1, set_size() / kPlaces);
    for (std::int64_t i = 0; i < set_size(); i += step) {
      const std::int64_t place = element(set, i);
      const double argument = before(place, of);
      if (backward && work_.relu && std::abs(argument) < 1e-3) continue;  // rounding may decide
      expected_.places.push_back(place);
      if (backward) {
        push_dx(place, of, means);
      } else {
        expected_.output.push_back(work_.relu ? std::max(argument, 0.0) : argument);
        expected_.magnitude.push_back(std::abs(argument));
      }
    }
  }

  void push_dx(std::int64_t place, const Moments& of, const GradientMeans& means) {
    const double own = g(place, of) * gamma(place), slope = xhat(place, of) * means.g_xhat;
    expected_.output.push_back((own - means.g - slope) * of.inv_std);
    expected_.magnitude.push_back((std::abs(own) + std::abs(means.g) + std::abs(slope)) *
                                  of.inv_std);
    if (work_.add) expected_.sum_gradient.push_back(g(place, of));
  }

  void visit_parameter(std::int64_t c) {
    expected_.parameters.push_back(c);
    if (over_batch() && work_.operation == Operation::forward) {
      expected_.mean.push_back(moments(c).mean);
      expected_.var.push_back(moments(c).var);
    }
    if (work_.operation != Operation::backward) return;
    double dgamma = 0, dbeta = 0, dgamma_magnitude = 0, dbeta_magnitude = 0;
    for (std::int64_t n = 0; n < size_.n; ++n) {
      const Moments of = moments(set_of(n, c));
      for (std::int64_t s = 0; s < size_.s(); ++s) {
        const std::int64_t i = (n * size_.c + c) * size_.s() + s;
        const double own = g(i, of), product = own * xhat(i, of);
        dbeta += own;
        dgamma += product;
        dbeta_magnitude += std::abs(own);
        dgamma_magnitude += std::abs(product);
      }
    }
    expected_.dgamma.push_back(dgamma);
    expected_.dbeta.push_back(dbeta);
    expected_.dgamma_magnitude.push_back(dgamma_magnitude);
    expected_.dbeta_magnitude.push_back(dbeta_magnitude);
  }

  const Problem& problem_;
  const Work& work_;
  const ProblemSize& size_;
  const float *x_, *dy_, *add_;
  std::map<std::int64_t, Moments> moments_;
  Expected expected_;
};

}  // namespace

Expected Problem::expected(const Work& work) const { return Oracle(*this, work).run(); }

}  // namespace evenkeel::bench
