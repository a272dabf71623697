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

/// How those of a layer differ.
struct Apart {
  std::vector<std::size_t> channels;
  std::size_t large = 0;  ///< channels that differ much
  double shift = 0, ratio = 1;
  bool found = false;  ///< enough for a finding
};

Apart compare(const NormFacts& norm) {
  Apart result;
  if (!norm.tracked || norm.survey == nullptr) return result;
  for (std::size_t c = 0; c < norm.channels(); ++c) {
    if (!norm.sound(c) || !norm.survey->finite[c]) continue;
    const Difference one = difference(norm, c);
    if (!one.sure) continue;
    result.channels.push_back(c);
    result.large += one.shift > kLargeShift || one.ratio > kLargeRatio ? 1 : 0;
    result.shift = std::max(result.shift, one.shift);
    result.ratio = std::max(result.ratio, one.ratio);
  }
  const double many = kManyChannels * static_cast<double>(norm.channels());
  result.found = result.large > 0 ||
                 (!result.channels.empty() && static_cast<double>(result.channels.size()) >= many);
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

/// What comes before taking the statistics anew.
std::string before_remedy(const Examination& patient) {
  if (!patient.options.inputs_unknown) return {};
  return "the model does not say how inputs are normalized: give --mean and --std as in its "
         "training, else these statistics are of other inputs; if that is not it, ";
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

bool unlike_data(const NormFacts& norm) { return compare(norm).found; }

void check_far_apart(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    const Apart apart = compare(norm);
    if (!apart.found) continue;
    const bool most =
        static_cast<double>(apart.large) >= kMostChannels * static_cast<double>(norm.channels());
    findings.add(
        norm.path(),
        apart_text(apart.shift, apart.ratio, channels_text(apart.channels, norm.channels())),
        most ? Severity::error : Severity::warning, before_remedy(patient));
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
      worse && lost > kLostMuch ? Severity::error : Severity::warning, before_remedy(patient));
}

}  // namespace evenkeel::deploy
