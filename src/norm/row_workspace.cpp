#include "norm/row_workspace.h"

#include "norm/row_checks.h"
#include "norm/workspace.h"

namespace evenkeel::norm {
namespace {

struct Counts {
  std::int64_t rows, parameters, partial, sums, partial_sums, gradients;

  explicit Counts(const RowCut& cut) {
    rows = cut.n * cut.groups;
    parameters = cut.sample_channels();
    partial = cut.parts > 1 || cut.slices > 1 ? cut.units() * cut.parts * cut.slab_groups : 0;
    const bool element = cut.kind == RowKind::element;
    sums = cut.slices > 1 ? rows : 0;
    partial_sums = element && cut.parts > 1 ? rows * cut.parts : 0;
    const std::int64_t sets = cut.kind == RowKind::channel_last ? cut.slices : 1;
    gradients = (element ? cut.chunks : sets * cut.n) * parameters;
  }
};

}  // namespace

RowScratch::RowScratch(const RowCut& cut, std::span<std::byte> workspace) {
  check_memory(workspace, size(cut), "workspace", "row_workspace_size");
  const Counts counts(cut);
  Arena arena(workspace, "workspace");
  for (auto* span : {&own.mean, &own.var, &own.inv_std}) *span = arena.take<double>(counts.rows);
  partial = arena.take<ShiftedSums>(counts.partial);
  sums = arena.take<RowSums>(counts.sums);
  partial_sums = arena.take<RowSums>(counts.partial_sums);
  for (auto* span : {&dgamma, &dbeta}) *span = arena.take<double>(counts.gradients);
  for (auto* span : {&gamma, &beta}) *span = arena.take<float>(counts.parameters);
}

std::size_t RowScratch::size(const RowCut& cut) {
  const Counts counts(cut);
  const auto bytes = [](std::int64_t count, std::size_t size) {
    return (static_cast<std::size_t>(count) * size + 7) / 8 * 8;
  };
  return 3 * bytes(counts.rows, sizeof(double)) + bytes(counts.partial, sizeof(ShiftedSums)) +
         bytes(counts.sums + counts.partial_sums, sizeof(RowSums)) +
         2 * bytes(counts.gradients, sizeof(double)) + 2 * bytes(counts.parameters, sizeof(float));
}

std::size_t row_workspace_size(const ConstRowView& x) {
  check_rows(x);
  return RowScratch::size(RowCut(x));
}

std::size_t row_state_size(const ConstRowView& x) {
  check_rows(x);
  return 3 * static_cast<std::size_t>(x.rows()) * sizeof(double);
}

RowNormState bind_row_state(std::span<std::byte> memory, const ConstRowView& x) {
  check_memory(memory, row_state_size(x), "state", "row_state_size");
  Arena arena(memory, "state");
  RowNormState state;
  for (auto* span : {&state.mean, &state.var, &state.inv_std}) {
    *span = arena.take<double>(x.rows());
  }
  return state;
}

}  // namespace evenkeel::norm
