#include <evenkeel/norm/isa.h>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <fmt/ranges.h>

#include <atomic>
#include <cstdlib>

#include "norm/implementation.h"

namespace evenkeel::norm {
namespace {

/// The table's row of that name; "" means the best.
const Implementation& find(const std::string& name) {
  const auto simd = simd_implementations();
  if (name.empty()) return simd.empty() ? kReference : simd.front();
  for (const Implementation& row : simd) {
    if (name == row.name) return row;
  }
  if (name == kReference.name) return kReference;
  fail<UsageError>("[isa] '{}' is not available here; choose one of {}{}", name,
                   fmt::join(available_isas(), ", "), did_you_mean(name, available_isas()));
}

const Implementation* from_environment() {
  const char* name = std::getenv("EVENKEEL_ISA");
  return &find(name == nullptr ? "" : name);
}

std::atomic<const Implementation*>& chosen() {
  static std::atomic<const Implementation*> row{from_environment()};
  return row;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Implementation& row : simd_implementations()) names.emplace_back(row.name);
  names.emplace_back(kReference.name);
  return names;
}

std::string chosen_isa() { return chosen().load()->name; }

void force_isa(const std::string& name) {
  chosen().store(name.empty() ? from_environment() : &find(name));
}

const Implementation& select(DType dtype) {
  return dtype == DType::f64 ? kReference : *chosen().load();
}

}  // namespace evenkeel::norm
