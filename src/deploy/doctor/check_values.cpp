// Numbers that cannot be right, whatever the network does.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "deploy/doctor/examination.h"

namespace evenkeel::deploy {
namespace {

/// A root mean square beyond which activations are no longer those of a network that learns: with
/// usual initial weights they are near 1.
constexpr double kExploded = 1e4;

std::size_t not_finite(const Tensor& tensor) {
  if (tensor.dtype() == DType::i64 || tensor.dtype() == DType::i32 || tensor.dtype() == DType::u8) {
    return 0;
  }
  const Tensor wide = tensor.to(DType::f64);
  return static_cast<std::size_t>(std::ranges::count_if(
      std::as_const(wide).span<double>(), [](double value) { return !std::isfinite(value); }));
}

std::string share(std::size_t count, std::int64_t all) {
  return static_cast<std::int64_t>(count) == all ? fmt::format("all {}", all)
                                                 : fmt::format("{} of {}", count, all);
}

/// Statistics of any layer: batch norm's, instance norm's, those inside recurrent layers.
bool is_statistic(const OwnTensor& tensor) { return tensor.name.starts_with("running_"); }

/// One finding for each layer, whatever its number of spoiled tensors.
void report_not_finite(const std::vector<OwnTensor>& tensors, bool statistics, Findings& findings) {
  for (std::size_t i = 0; i < tensors.size();) {
    const std::string& layer = tensors[i].layer;
    std::string evidence;
    for (; i < tensors.size() && tensors[i].layer == layer; ++i) {
      if (is_statistic(tensors[i]) != statistics) continue;
      const std::size_t count = not_finite(tensors[i].value);
      if (count == 0) continue;
      evidence += fmt::format("{}{} values of {}", evidence.empty() ? "" : ", ",
                              share(count, tensors[i].value.numel()), tensors[i].name);
    }
    if (!evidence.empty()) findings.add(layer, evidence + " are NaN or infinite");
  }
}

}  // namespace

void check_weights(const Examination& patient, Findings& findings) {
  report_not_finite(patient.parameters, false, findings);
}

void check_statistics_finite(const Examination& patient, Findings& findings) {
  report_not_finite(patient.buffers, true, findings);
}

void check_negative(const Examination& patient, Findings& findings) {
  for (const OwnTensor& tensor : patient.buffers) {
    if (!tensor.name.starts_with("running_var")) continue;
    const Tensor wide = tensor.value.to(DType::f64);
    const auto values = std::as_const(wide).span<double>();
    const auto count = std::ranges::count_if(values, [](double value) { return value < 0; });
    if (count == 0) continue;
    double least = 0;
    for (const double value : values) least = value < least ? value : least;
    findings.add(tensor.layer,
                 fmt::format("{} values of {} are negative, down to {:.3g}",
                             share(static_cast<std::size_t>(count), tensor.value.numel()),
                             tensor.name, least));
  }
}

void check_exploded(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    // Data may come in any unit.
    if (patient.sees_raw_input(norm)) continue;
    std::vector<std::size_t> chosen;
    double largest = 0;
    for (std::size_t c = 0; c < norm.channels(); ++c) {
      if (!norm.sound(c)) continue;
      const double size = std::hypot(norm.mean[c], std::sqrt(norm.var[c]));
      if (size <= kExploded) continue;
      chosen.push_back(c);
      largest = std::max(largest, size);
    }
    if (chosen.empty()) continue;
    findings.add(norm.path(), fmt::format("inputs of up to {:.2g} (root mean square) by the "
                                          "running statistics of {}",
                                          largest, channels_text(chosen, norm.channels())));
  }
}

}  // namespace evenkeel::deploy
