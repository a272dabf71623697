#include <cmath>

#include <evenkeel/core/error.h>
#include <evenkeel/optim/groups.h>

namespace evenkeel::optim {
namespace {

bool decays(nn::ParameterKind kind, const GroupOptions& options) {
  switch (kind) {
    case nn::ParameterKind::weight:
      return true;
    case nn::ParameterKind::bias:
      return options.decay_bias;
    case nn::ParameterKind::norm_scale:
    case nn::ParameterKind::norm_shift:
      return options.decay_norm;
  }
  return false;
}

}  // namespace

std::vector<ParameterGroup> make_groups(nn::Module& module, const GroupOptions& options) {
  if (!(options.weight_decay >= 0) || !std::isfinite(options.weight_decay)) {
    fail<UsageError>("[optimizer] expected a weight decay of 0 or more, got {}",
                     options.weight_decay);
  }
  ParameterGroup with{{}, options.weight_decay, 1};
  ParameterGroup without;
  for (const nn::NamedParameter& named : module.parameters()) {
    (decays(named.parameter->kind, options) ? with : without).parameters.push_back(named);
  }
  std::vector<ParameterGroup> groups;
  if (!with.parameters.empty()) groups.push_back(std::move(with));
  if (!without.parameters.empty()) groups.push_back(std::move(without));
  return groups;
}

}  // namespace evenkeel::optim
