// What data make of the network.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "deploy/doctor/examination.h"

namespace evenkeel::deploy {
namespace {

/// Running and batch statistics of a channel differ where |Δμ| exceeds so many σ or one variance so
/// many times the other, and by how many standard errors at least.
constexpr double kShift = 0.5;
constexpr double kRatio = 3;
constexpr double kSure = 5;
/// The same where one channel is enough.
constexpr double kLargeShift = 2;
constexpr double kLargeRatio = 8;
/// The part of a layer's channels that must differ, else.
constexpr double kManyChannels = 0.05;
/// The part that must differ much for an error.
constexpr double kMostChannels = 0.25;

/// Accuracy lost to the running statistics, beside three standard errors.
constexpr double kLost = 0.02;
constexpr double kLostMuch = 0.10;
/// The same for the loss: in nats, and relative to that of the batches.
constexpr double kLossRise = 0.5;
constexpr double kLossRatio = 2;

/// How the two statistics of a channel differ.
struct Difference {
  double shift = 0;  ///< |Δμ|/σ of the larger variance
  double ratio = 1;  ///< of the larger variance to the smaller, with ε
  bool sure = false;
};

/// What the noise of one batch is multiplied by in the difference of the running average and the
/// average over the data.
double noise_factor(const NormFacts& norm) {
  const auto momentum = norm.layer->settings().momentum;
  double running = 0;
  if (momentum) {
    running = *momentum / (2 - *momentum);  // Σ(m·(1 − m)^k)²
  } else if (norm.batches > 0) {
    running = 1 / static_cast<double>(norm.batches);
  }
  return std::sqrt(running + 1 / static_cast<double>(norm.survey->batches));
}

Difference difference(const NormFacts& norm, std::size_t c) {
  const LayerSurvey& data = *norm.survey;
  const double eps = norm.eps();
  const double running = norm.var[c] + eps, batch = data.var[c] + eps;
  const double moved = std::abs(norm.mean[c] - data.mean[c]);
  const double noise = noise_factor(norm);
  Difference result;
  result.shift = moved / std::sqrt(std::max(running, batch));
  const double ratio = std::max(running, batch) / std::min(running, batch);
  const bool mean_sure = moved > kSure * noise * data.mean_noise[c];
  // Not of the logarithms: the variance of a channel that is rarely active is mostly that of the
  // few batches where it is.
  const bool var_sure = std::abs(running - batch) > kSure * noise * data.var_noise[c];
  // A channel that never varies is one of constant-channels: its variance decays from 1 as slowly
  // as the momentum says.
  const bool varies = data.var[c] > eps;
  if (!mean_sure) result.shift = 0;
  if (var_sure && (varies || running < batch)) result.ratio = ratio;
  result.sure = result.shift > kShift || result.ratio > kRatio;
  return result;
}

std::string apart_text(double shift, double ratio, const std::string& channels) {
  std::string text;
  if (shift > kShift) text = fmt::format("means up to {:.2g} σ", shift);
  if (ratio > kRatio) {
    text += fmt::format("{}variances up to {:.3g} times", text.empty() ? "" : " and ", ratio);
  }
  return fmt::format("{} apart in {}", text, channels);
}

double percent(double part) { return 100 * part; }

}  // namespace

void check_values_finite(const Examination& patient, Findings& findings) {
  if (patient.surveyed == nullptr) return;
  // What comes behind the first is spoiled by it.
  for (std::size_t i = 0; i < patient.flow.size(); ++i) {
    const auto norm =
        std::ranges::find_if(patient.norms, [&](const NormFacts& one) { return one.step == i; });
    if (norm == patient.norms.end() || norm->survey == nullptr) continue;
    std::vector<std::size_t> chosen;
    for (std::size_t c = 0; c < norm->channels(); ++c) {
      if (!norm->survey->finite[c]) chosen.push_back(c);
    }
    if (chosen.empty()) continue;
    findings.add(norm->path(), fmt::format("its input is NaN or infinite in {}",
                                           channels_text(chosen, norm->channels())));
    return;
  }
  if (patient.surveyed->spoiled > 0) {
    findings.add("", fmt::format("the output is NaN or infinite for {} of {} samples",
                                 patient.surveyed->spoiled, patient.surveyed->samples));
  }
}

void check_far_apart(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    if (!norm.tracked || norm.survey == nullptr) continue;
    std::vector<std::size_t> chosen;
    std::size_t large = 0;
    double shift = 0, ratio = 1;
    for (std::size_t c = 0; c < norm.channels(); ++c) {
      if (!norm.sound(c) || !norm.survey->finite[c]) continue;
      const Difference one = difference(norm, c);
      if (!one.sure) continue;
      chosen.push_back(c);
      large += one.shift > kLargeShift || one.ratio > kLargeRatio ? 1 : 0;
      shift = std::max(shift, one.shift);
      ratio = std::max(ratio, one.ratio);
    }
    const auto channels = static_cast<double>(norm.channels());
    if (large == 0 && static_cast<double>(chosen.size()) < kManyChannels * channels) continue;
    if (chosen.empty()) continue;
    findings.add(norm.path(), apart_text(shift, ratio, channels_text(chosen, norm.channels())),
                 static_cast<double>(large) >= kMostChannels * channels ? Severity::error
                                                                        : Severity::warning);
  }
}

void check_mode_gap(const Examination& patient, Findings& findings) {
  if (patient.surveyed == nullptr) return;
  const auto& [running, batch] = std::pair(patient.surveyed->running, patient.surveyed->batch);
  if (!running || !batch) return;
  const auto count = static_cast<double>(patient.surveyed->samples);
  const double lost = batch->accuracy - running->accuracy;
  const double error = std::sqrt(
      (batch->accuracy * (1 - batch->accuracy) + running->accuracy * (1 - running->accuracy)) /
      count);
  const bool worse = lost > kLost + 3 * error;
  const bool higher =
      running->loss > batch->loss + kLossRise && running->loss > kLossRatio * batch->loss;
  if (!worse && !higher) return;
  findings.add(
      "",
      fmt::format("accuracy {:.2f} % with the running statistics and {:.2f} % with the "
                  "batches' own, loss {:.3f} and {:.3f}",
                  percent(running->accuracy), percent(batch->accuracy), running->loss, batch->loss),
      worse && lost > kLostMuch ? Severity::error : Severity::warning);
}

}  // namespace evenkeel::deploy
