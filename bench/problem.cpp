#include "problem.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>

namespace evenkeel::bench {
namespace {

std::vector<float> uniform_values(std::int64_t count, std::uint64_t stream, float low, float high) {
  std::vector<float> values(static_cast<std::size_t>(count));
  Random(1, stream).fill_uniform(values, low, high);
  return values;
}

Tensor normal_values(const Shape& shape, std::uint64_t stream) {
  Tensor tensor = Tensor::empty(shape);
  Random(1, stream).fill_normal(tensor.span<float>(), 0, 1);
  return tensor;
}

/// Another mean and spread for each channel.
void spread_out(Tensor& x, const ProblemSize& size) {
  const std::vector<float> means = uniform_values(size.c, 4, -1, 1);
  const std::vector<float> spreads = uniform_values(size.c, 5, 0.5F, 2);
  float* const values = x.data<float>();
  parallel_for(size.n * size.c, size.s(), [&](std::int64_t row) {
    const auto c = static_cast<std::size_t>(row % size.c);
    for (std::int64_t i = row * size.s(); i < (row + 1) * size.s(); ++i) {
      values[i] = values[i] * spreads[c] + means[c];
    }
  });
}

}  // namespace

std::string_view name_of(Family family) {
  constexpr std::array<std::string_view, 4> kNames{"batch norm", "layer norm", "group norm",
                                                   "instance norm"};
  return kNames[static_cast<std::size_t>(family)];
}

std::string_view name_of(Operation operation) {
  constexpr std::array<std::string_view, 3> kNames{"forward", "backward", "inference"};
  return kNames[static_cast<std::size_t>(operation)];
}

std::string Work::name() const {
  return fmt::format("{}{}{}", name_of(operation), add ? "+add" : "", relu ? "+relu" : "");
}

double Work::least_traffic() const {
  return (operation == Operation::backward ? 3 : 2) + (add ? 1 : 0);
}

Problem::Problem(const ProblemSize& size)
    : gamma(uniform_values(size.c, 6, 0.5F, 1.5F)),
      beta(uniform_values(size.c, 7, -0.5F, 0.5F)),
      running_mean(uniform_values(size.c, 8, -1, 1)),
      running_var(uniform_values(size.c, 9, 0.25F, 4)),
      size_(size) {
  x_[0] = normal_values(shape(), 1);
  spread_out(x_[0], size);
  dy_[0] = normal_values(shape(), 2);
  add_[0] = normal_values(shape(), 3);
  for (auto* const pair : {&x_, &dy_, &add_}) (*pair)[1] = (*pair)[0].to(Layout::channels_last);
}

std::vector<double> values_at(const Tensor& tensor, const std::vector<std::int64_t>& places) {
  const float* const values = tensor.data<float>();
  const ChannelDims d = channel_dims(tensor.shape(), "bench");
  std::vector<double> result;
  result.reserve(places.size());
  for (const std::int64_t place : places) {
    std::int64_t i = place;
    if (tensor.layout() == Layout::channels_last) {
      const std::int64_t s = place % d.s, c = place / d.s % d.c, n = place / (d.s * d.c);
      i = (n * d.s + s) * d.c + c;
    }
    result.push_back(static_cast<double>(values[i]));
  }
  return result;
}

std::vector<double> values_at(const float* values, const std::vector<std::int64_t>& numbers) {
  std::vector<double> result;
  for (const std::int64_t i : numbers) result.push_back(static_cast<double>(values[i]));
  return result;
}

double verify(const Candidate& candidate, const Expected& expected, const Actual& actual) {
  const double tolerance = candidate.who == "evenkeel" ? kOwnTolerance : kTolerance;
  double worst = 0;
  const auto compare = [&](const char* what, const std::vector<double>& got,
                           const std::vector<double>& wanted,
                           const std::vector<double>& magnitude) {
    if (got.empty()) return;
    if (got.size() != wanted.size()) {
      fail<Error>("[bench] {}: expected {} values of {}, got {}", candidate.name(), wanted.size(),
                  what, got.size());
    }
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double size = magnitude.empty() ? std::abs(wanted[i]) : magnitude[i];
      const double error = std::abs(got[i] - wanted[i]) / std::max(1.0, size);
      if (!(error <= tolerance)) {
        fail<Error>("[bench] {}: expected {} for {}, got {}; it is not timed", candidate.name(),
                    wanted[i], what, got[i]);
      }
      worst = std::max(worst, error);
    }
  };
  if (actual.output.empty()) fail<Error>("[bench] {} computed nothing", candidate.name());
  compare("an output", actual.output, expected.output, expected.magnitude);
  compare("the gradient of the added branch", actual.sum_gradient, expected.sum_gradient, {});
  compare("dgamma", actual.dgamma, expected.dgamma, expected.dgamma_magnitude);
  compare("dbeta", actual.dbeta, expected.dbeta, expected.dbeta_magnitude);
  compare("a mean", actual.mean, expected.mean, {});
  compare("a variance", actual.var, expected.var, {});
  return worst;
}

}  // namespace evenkeel::bench
