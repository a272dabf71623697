// Channels that carry nothing, or hardly anything.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "deploy/doctor/examination.h"

namespace evenkeel::deploy {
namespace {

/// |γ| of a dead channel, relative to the layer's largest and absolute. Among thousands of channels
/// some γ pass through 0 by chance; few of them are so near it.
constexpr double kDead = 1e-4;
constexpr double kDeadAbsolute = 1e-6;
/// σ² of a constant channel, relative to ε and absolute, and σ relative to |μ|, where that is no
/// larger than this: beyond, it is the mean that is wrong.
constexpr double kConstant = 1e-2;
constexpr double kConstantAbsolute = 1e-6;
constexpr double kConstantSpread = 1e-6;
constexpr double kLargestMean = 1e4;
/// The part of a layer's channels that may be dead or constant: training leaves some behind.
constexpr double kLeftBehind = 0.05;
/// The part of a layer's channels that may vary less than ε.
constexpr double kBelowEps = 0.1;

bool is_constant(double mean, double var, double eps) {
  const double spread = std::abs(mean) <= kLargestMean ? kConstantSpread * mean : 0;
  return var <= std::max(std::min(kConstant * eps, kConstantAbsolute), spread * spread);
}

Severity severity_of(std::size_t chosen, std::size_t all) {
  const bool few = static_cast<double>(chosen) < kLeftBehind * static_cast<double>(all);
  return few ? Severity::info : Severity::warning;
}

/// By the running statistics.
bool runs_constant(const NormFacts& norm, std::size_t c) {
  return norm.sound(c) && is_constant(norm.mean[c], norm.var[c], norm.eps());
}

/// In the data.
bool seen_constant(const NormFacts& norm, std::size_t c) {
  return norm.survey != nullptr && norm.survey->finite[c] &&
         is_constant(norm.survey->mean[c], norm.survey->var[c], norm.eps());
}

}  // namespace

void check_dead(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    double largest = 0;
    for (const double gamma : norm.gamma) {
      if (std::isfinite(gamma)) largest = std::max(largest, std::abs(gamma));
    }
    const double limit = std::max(kDead * largest, kDeadAbsolute);
    std::vector<std::size_t> chosen;
    for (std::size_t c = 0; c < norm.gamma.size(); ++c) {
      if (std::abs(norm.gamma[c]) <= limit) chosen.push_back(c);
    }
    if (chosen.empty()) continue;
    findings.add(norm.path(),
                 fmt::format("|γ| below {:.2g} in {}; the largest is {:.2g}", limit,
                             channels_text(chosen, norm.channels()), largest),
                 severity_of(chosen.size(), norm.channels()));
  }
}

void check_constant(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    std::vector<std::size_t> chosen;
    bool data = false;
    for (std::size_t c = 0; c < norm.channels(); ++c) {
      const bool seen = seen_constant(norm, c);
      if (!seen && !runs_constant(norm, c)) continue;
      chosen.push_back(c);
      data = data || seen;
    }
    if (chosen.empty()) continue;
    const bool raw = patient.sees_raw_input(norm);
    findings.add(norm.path(),
                 fmt::format("{} variance of about 0 in {}{}", data ? "a" : "a running",
                             channels_text(chosen, norm.channels()), raw ? " of the data" : ""),
                 raw ? Severity::info : severity_of(chosen.size(), norm.channels()));
  }
}

void check_eps(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    std::vector<std::size_t> chosen;
    double least = norm.eps();
    for (std::size_t c = 0; c < norm.channels(); ++c) {
      if (!norm.sound(c) || norm.var[c] >= norm.eps()) continue;
      if (runs_constant(norm, c) || seen_constant(norm, c)) continue;
      chosen.push_back(c);
      least = std::min(least, norm.var[c]);
    }
    if (chosen.empty()) continue;
    const bool many =
        static_cast<double>(chosen.size()) >= kBelowEps * static_cast<double>(norm.channels());
    findings.add(norm.path(),
                 fmt::format("eps {:g} is above the running variance of {}, down to {:.2g}",
                             norm.eps(), channels_text(chosen, norm.channels()), least),
                 many && !patient.sees_raw_input(norm) ? Severity::warning : Severity::info);
  }
}

}  // namespace evenkeel::deploy
