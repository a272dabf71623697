// What stands around a batch norm.

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "deploy/doctor/examination.h"
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/conv_transpose.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::deploy {
namespace {

using nn::FlowStep;

bool is_identity(const FlowStep& step) {
  return step.kind == FlowStep::Kind::layer &&
         dynamic_cast<const nn::Identity*>(step.module) != nullptr;
}

/// The layer whose value goes into the norm alone, Identities between them left out; null where
/// there is none.
const FlowStep* source_of(const Examination& patient, const NormFacts& norm) {
  if (!norm.step || patient.flow[*norm.step].inputs.size() != 1) return nullptr;
  const FlowStep* step = &patient.flow[patient.flow[*norm.step].inputs[0]];
  while (is_identity(*step) && step->users.size() == 1) step = &patient.flow[step->inputs[0]];
  const bool alone = step->kind == FlowStep::Kind::layer && step->users.size() == 1;
  return alone ? step : nullptr;
}

bool has_bias(const nn::Module& layer) {
  if (const auto* linear = dynamic_cast<const nn::Linear*>(&layer)) return linear->has_bias();
  if (const auto* conv = dynamic_cast<const nn::Convolution*>(&layer)) return conv->has_bias();
  const auto* transposed = dynamic_cast<const nn::TransposedConvolution*>(&layer);
  return transposed != nullptr && transposed->has_bias();
}

bool has_weight(const nn::Module& layer) {
  return dynamic_cast<const nn::Linear*>(&layer) != nullptr ||
         dynamic_cast<const nn::Convolution*>(&layer) != nullptr ||
         dynamic_cast<const nn::TransposedConvolution*>(&layer) != nullptr;
}

/// A dropout that changes the variance of what the norm gets.
struct Shift {
  const nn::Dropout* dropout = nullptr;
  const nn::Module* weight = nullptr;  ///< the layer between them, if there is one
};

/// Looks back from the norm through layers that learn nothing and at most one that mixes channels.
Shift shift_before(const Examination& patient, const NormFacts& norm) {
  struct Place {
    std::size_t step;
    const nn::Module* weight;
  };
  Shift found;
  if (!norm.step) return found;
  std::set<std::pair<std::size_t, const nn::Module*>> seen;
  std::vector<Place> open;
  for (const std::size_t i : patient.flow[*norm.step].inputs) open.push_back({i, nullptr});
  while (!open.empty()) {
    const Place place = open.back();
    open.pop_back();
    if (!seen.insert({place.step, place.weight}).second) continue;
    const FlowStep& step = patient.flow[place.step];
    const nn::Module* weight = place.weight;
    if (step.kind == FlowStep::Kind::layer) {
      const auto* dropout = dynamic_cast<const nn::Dropout*>(step.module);
      if (dropout != nullptr && dropout->p() > 0) {
        if (weight == nullptr) return {dropout, nullptr};
        if (found.dropout == nullptr) found = {dropout, weight};
      }
      if (step.module->has_parameters()) {
        // A normalization takes the shift out again; behind two weights little is left of it.
        if (weight != nullptr || !has_weight(*step.module)) continue;
        weight = step.module;
      }
    }
    for (const std::size_t i : step.inputs) open.push_back({i, weight});
  }
  return found;
}

}  // namespace

void check_dropout(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    if (!norm.tracked) continue;
    const Shift shift = shift_before(patient, norm);
    if (shift.dropout == nullptr) continue;
    if (shift.weight == nullptr) {
      findings.add(norm.path(), fmt::format("{} with p = {:g} comes before it",
                                            shift.dropout->label(), shift.dropout->p()));
    } else {
      findings.add(norm.path(),
                   fmt::format("{} with p = {:g} comes before it, with {} between them",
                               shift.dropout->label(), shift.dropout->p(), shift.weight->label()),
                   Severity::info);
    }
  }
}

void check_bias(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    const FlowStep* source = source_of(patient, norm);
    if (source == nullptr || !has_bias(*source->module)) continue;
    findings.add(source->module->path(),
                 fmt::format("its bias goes into {} alone", norm.layer->label()));
  }
}

void check_foldable(const Examination& patient, Findings& findings) {
  const auto copy = patient.network.clone();
  const nn::FoldReport report = nn::fold_norms(*copy);
  for (const NormFacts& norm : patient.norms) {
    const auto folded =
        std::ranges::find(report.folded, norm.path(), &nn::FoldReport::Folded::layer);
    if (folded == report.folded.end()) continue;
    findings.add(norm.path(), fmt::format("it can go into layer {}, {} it", folded->into,
                                          folded->behind ? "behind" : "before"));
  }
}

}  // namespace evenkeel::deploy
