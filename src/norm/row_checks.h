// Argument checks of the row operators: all before anything is written.
#pragma once

#include <initializer_list>

#include <evenkeel/norm/row_norm.h>

namespace evenkeel::norm {

/// The dimensions and dtype alone.
void check_rows(const ConstRowView& x);
/// And the data, called `name`.
void check_row_data(const ConstRowView& x, const char* name);
/// `other` must have x's dimensions, dtype and layout, and data.
void check_like(const ConstRowView& x, const ConstRowView& other, const char* name);
/// `output` must be one of `inputs` exactly, or lie apart from it.
void check_row_overlap(const ConstRowView& output, const char* name,
                       std::initializer_list<ConstRowView> inputs);
void check_row_eps(double eps);
/// As many values as x has rows.
void check_per_row(const ConstRowView& x, std::span<const double> values, const char* name);
void check_row_state(const ConstRowView& x, const RowNormState& state);
/// x.parameters() values, at an address, or none.
void check_per_channel(const ConstRowView& x, std::size_t size, const void* data, const char* name);
void check_row_affine(const ConstRowView& x, const Affine& affine);
/// `needed` bytes at an address divisible by 8; `ask` names the function that tells the number.
void check_memory(std::span<std::byte> memory, std::size_t needed, const char* name,
                  const char* ask);

}  // namespace evenkeel::norm
