#include "norm/row_checks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <evenkeel/core/error.h>

namespace evenkeel::norm {
namespace {

std::string describe(const ConstRowView& x) {
  return fmt::format("[{}, {} groups of {}, {}] {} {}", x.n, x.groups, x.channels, x.s,
                     name_of(x.dtype), name_of(x.layout));
}

std::uintptr_t address(const void* data) { return reinterpret_cast<std::uintptr_t>(data); }

bool overlap(const ConstRowView& a, const ConstRowView& b) {
  const auto end = [](const ConstRowView& v) {
    return address(v.data) + static_cast<std::uintptr_t>(v.numel()) * size_of(v.dtype);
  };
  return address(a.data) < end(b) && address(b.data) < end(a);
}

}  // namespace

void check_rows(const ConstRowView& x) {
  if (x.n < 0 || x.groups < 1 || x.channels < 0 || x.s < 0) {
    fail<ShapeError>(
        "[row_norm] expected [N, groups of channels, S] with at least one group, got {}",
        describe(x));
  }
  if (x.dtype != DType::f32 && x.dtype != DType::f64 && x.dtype != DType::bf16) {
    fail<ShapeError>("[row_norm] expected f32, bf16 or f64 activations, got {}; convert them first",
                     name_of(x.dtype));
  }
  // The bytes must be countable; extents beside an empty one as well, since products are formed.
  std::int64_t left = std::numeric_limits<std::int64_t>::max() / 16;
  for (const std::int64_t extent : {x.n, x.groups, x.channels, x.s}) {
    left /= std::max<std::int64_t>(extent, 1);
  }
  if (left < 1) {
    fail<ShapeError>("[row_norm] the elements of {} are too many to count", describe(x));
  }
}

void check_row_data(const ConstRowView& x, const char* name) {
  check_rows(x);
  if (x.numel() == 0) return;
  if (x.data == nullptr) {
    fail<ShapeError>("[row_norm] expected data for {} {}, got a null pointer", name, describe(x));
  }
  if (address(x.data) % size_of(x.dtype) != 0) {
    fail<UsageError>("[row_norm] expected {} at an address divisible by {}, got remainder {}", name,
                     size_of(x.dtype), address(x.data) % size_of(x.dtype));
  }
}

void check_like(const ConstRowView& x, const ConstRowView& other, const char* name) {
  // One position or one channel: the layouts coincide.
  const bool same_layout = x.layout == other.layout || x.s == 1 || x.parameters() == 1;
  if (other.n != x.n || other.groups != x.groups || other.channels != x.channels ||
      other.s != x.s || other.dtype != x.dtype || !same_layout) {
    fail<ShapeError>("[row_norm] expected {} like x, {}, got {}", name, describe(x),
                     describe(other));
  }
  check_row_data(other, name);
}

void check_row_overlap(const ConstRowView& output, const char* name,
                       std::initializer_list<ConstRowView> inputs) {
  for (const ConstRowView& input : inputs) {
    if (output.data == input.data || !overlap(output, input)) continue;
    fail<UsageError>(
        "[row_norm] expected {} to be its input or to lie apart from it, got memory that overlaps "
        "in "
        "part",
        name);
  }
}

void check_row_eps(double eps) {
  if (!(eps >= 0) || !std::isfinite(eps)) {
    fail<UsageError>("[row_norm] expected eps of 0 or more, got {}; 1e-5 is usual", eps);
  }
}

void check_per_row(const ConstRowView& x, std::span<const double> values, const char* name) {
  if (values.size() != static_cast<std::size_t>(x.rows())) {
    fail<ShapeError>("[row_norm] expected {} values of {} for {} rows, got {}", x.rows(), name,
                     x.rows(), values.size());
  }
  if (values.data() == nullptr && !values.empty()) {
    fail<ShapeError>("[row_norm] expected {} values of {}, got a null pointer", x.rows(), name);
  }
}

void check_row_state(const ConstRowView& x, const RowNormState& state) {
  check_per_row(x, state.mean, "state.mean");
  check_per_row(x, state.var, "state.var");
  check_per_row(x, state.inv_std, "state.inv_std");
}

void check_per_channel(const ConstRowView& x, std::size_t size, const void* data,
                       const char* name) {
  if (size == 0) return;
  if (size != static_cast<std::size_t>(x.parameters())) {
    fail<ShapeError>("[row_norm] expected {} values of {}, got {}; one per {}", x.parameters(),
                     name, size, x.s == 1 && x.groups == 1 ? "element of a row" : "channel");
  }
  if (data == nullptr) {
    fail<ShapeError>("[row_norm] expected {} values of {}, got a null pointer", size, name);
  }
}

void check_row_affine(const ConstRowView& x, const Affine& affine) {
  check_per_channel(x, affine.gamma.size(), affine.gamma.data(), "gamma");
  check_per_channel(x, affine.beta.size(), affine.beta.data(), "beta");
}

void check_memory(std::span<std::byte> memory, std::size_t needed, const char* name,
                  const char* ask) {
  if (memory.size() < needed) {
    fail<UsageError>("[row_norm] the {} has {} bytes, too few; ask {}() for the number", name,
                     memory.size(), ask);
  }
  if (needed == 0) return;
  if (memory.data() == nullptr) {
    fail<UsageError>("[row_norm] expected {} bytes for the {}, got a null pointer", needed, name);
  }
  if (address(memory.data()) % 8 != 0) {
    fail<UsageError>("[row_norm] expected the {} at an address divisible by 8", name);
  }
}

}  // namespace evenkeel::norm
