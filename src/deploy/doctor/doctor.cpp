#include <algorithm>

#include <fmt/format.h>

#include "deploy/doctor/examination.h"

namespace evenkeel::deploy {
namespace {

/// Layers that keep running statistics of their own kind, which the checks hardly know.
std::vector<std::string> strangers(const Examination& patient) {
  std::vector<std::string> paths;
  for (const OwnTensor& buffer : patient.buffers) {
    const bool known = std::ranges::any_of(
        patient.norms, [&](const NormFacts& norm) { return norm.path() == buffer.layer; });
    if (known || !buffer.name.starts_with("running_")) continue;
    if (paths.empty() || paths.back() != buffer.layer) paths.push_back(buffer.layer);
  }
  return paths;
}

Diagnosis run(const nn::Module& network, const DoctorOptions& options, const Survey* data) {
  const auto copy = network.clone();
  copy->eval();
  const Examination patient(*copy, options, data);
  Diagnosis diagnosis;
  diagnosis.norms = patient.norms.size();
  Findings findings(*copy, diagnosis.findings);
  for (const Check& check : checks()) {
    findings.begin(check.info);
    check.run(patient, findings);
  }
  std::ranges::stable_sort(diagnosis.findings, std::ranges::greater{}, &Finding::severity);
  const bool judged = std::ranges::any_of(
      patient.norms, [](const NormFacts& norm) { return norm.input.has_value(); });
  if (!patient.norms.empty() && !judged) {
    diagnosis.left_out.emplace_back("the size of batches: it is not known how it was trained");
  }
  for (const std::string& path : strangers(patient)) {
    diagnosis.left_out.push_back(fmt::format(
        "the running statistics inside layer '{}', but for NaN and negative variances", path));
  }
  if (data == nullptr) {
    diagnosis.left_out.emplace_back("what needs data: none were given");
    return diagnosis;
  }
  diagnosis.samples = data->samples;
  diagnosis.batch_size = data->batch_size;
  diagnosis.running = data->running;
  diagnosis.batch = data->batch;
  if (!data->no_labels.empty()) {
    diagnosis.left_out.push_back("accuracy: " + data->no_labels);
  }
  return diagnosis;
}

}  // namespace

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::info:
      return "info";
    case Severity::warning:
      return "warning";
    case Severity::error:
      break;
  }
  return "error";
}

const std::vector<CheckInfo>& doctor_checks() {
  static const std::vector<CheckInfo> infos = [] {
    std::vector<CheckInfo> result;
    for (const Check& check : checks()) result.push_back(check.info);
    return result;
  }();
  return infos;
}

std::optional<Severity> Diagnosis::worst() const {
  if (findings.empty()) return std::nullopt;
  return std::ranges::max(findings, {}, &Finding::severity).severity;
}

std::size_t Diagnosis::count(Severity severity) const {
  return static_cast<std::size_t>(std::ranges::count(findings, severity, &Finding::severity));
}

Diagnosis diagnose(const nn::Module& network, const DoctorOptions& options) {
  return run(network, options, nullptr);
}

Diagnosis diagnose(const nn::Module& network, const data::Dataset& dataset,
                   const data::Normalization& normalization, const DoctorOptions& options) {
  const Survey data = survey(network, dataset, normalization, options);
  DoctorOptions known = options;
  if (!known.sample) known.sample = dataset.sample_shape();
  return run(network, known, &data);
}

}  // namespace evenkeel::deploy
