// How the running statistics came about.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "deploy/doctor/examination.h"

namespace evenkeel::deploy {
namespace {

/// Of where the running statistics began, in what they are.
constexpr double kInitialPart = 0.05;
/// The weight of the newest batch from which a momentum looks like the weight of the old value.
constexpr double kLargeMomentum = 0.75;

bool never_updated(const NormFacts& norm) {
  return norm.tracked && std::ranges::all_of(norm.mean, [](double v) { return v == 0; }) &&
         std::ranges::all_of(norm.var, [](double v) { return v == 1; });
}

}  // namespace

void check_never_updated(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    if (!never_updated(norm)) continue;
    const std::string counted =
        norm.batches > 0 ? fmt::format(", after {} batches", norm.batches) : "";
    findings.add(norm.path(),
                 fmt::format("running mean 0 and variance 1 in {}, as at the "
                             "beginning{}",
                             norm.channels() == 1 ? std::string("its only channel")
                                                  : fmt::format("all {} channels", norm.channels()),
                             counted));
  }
}

void check_few_updates(const Examination& patient, Findings& findings) {
  if (patient.options.recalibrated) return;
  for (const NormFacts& norm : patient.norms) {
    const auto momentum = norm.layer->settings().momentum;
    if (!norm.tracked || norm.held || !momentum || never_updated(norm)) continue;
    if (norm.batches == 0) continue;  // statistics from elsewhere, such as an imported model's
    const double part = std::pow(1 - *momentum, static_cast<double>(norm.batches));
    if (part <= kInitialPart) continue;
    // Where data say that they are right, they may have been taken in another way.
    const bool right = norm.survey != nullptr && !unlike_data(norm);
    findings.add(norm.path(),
                 fmt::format("{} batch{} with momentum {:g}: the initial 0 and 1 still make up "
                             "{:.0f} %{}",
                             norm.batches, norm.batches == 1 ? "" : "es", *momentum, 100 * part,
                             right ? "; but they are like those of the data" : ""),
                 right ? Severity::info : Severity::warning);
  }
}

void check_momentum(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    const auto momentum = norm.layer->settings().momentum;
    if (!norm.tracked || norm.held || !momentum || *momentum < kLargeMomentum) continue;
    findings.add(norm.path(), fmt::format("momentum {:g}: the newest batch weighs {:.0f} %",
                                          *momentum, 100 * *momentum));
  }
}

}  // namespace evenkeel::deploy
