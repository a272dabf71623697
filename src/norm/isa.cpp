#include <atomic>
#include <cstdlib>

#include <fmt/ranges.h>

#include "norm/implementation.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/norm/isa.h>

namespace evenkeel::norm {
namespace {

const InstructionSet& reference_row() {
  static const InstructionSet row{"reference", kReference, kReference};
  return row;
}

/// The table's row of that name; "" means the best.
const InstructionSet& find(const std::string& name) {
  const auto simd = instruction_sets();
  if (name.empty()) return simd.empty() ? reference_row() : simd.front();
  for (const InstructionSet& row : simd) {
    if (name == row.name) return row;
  }
  if (name == reference_row().name) return reference_row();
  fail<UsageError>("[isa] '{}' is not available here; choose one of {}{}", name,
                   fmt::join(available_isas(), ", "), did_you_mean(name, available_isas()));
}

const InstructionSet* from_environment() {
  const char* name = std::getenv("EVENKEEL_ISA");
  return &find(name == nullptr ? "" : name);
}

std::atomic<const InstructionSet*>& chosen() {
  static std::atomic<const InstructionSet*> row{from_environment()};
  return row;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const InstructionSet& row : instruction_sets()) names.emplace_back(row.name);
  names.emplace_back(reference_row().name);
  return names;
}

std::string chosen_isa() { return chosen().load()->name; }

void force_isa(const std::string& name) {
  chosen().store(name.empty() ? from_environment() : &find(name));
}

const Implementation& select(DType dtype) {
  if (dtype == DType::f64) return kReference;
  const InstructionSet& row = *chosen().load();
  return dtype == DType::bf16 ? row.bf16 : row.f32;
}

}  // namespace evenkeel::norm
