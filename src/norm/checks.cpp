#include "norm/checks.h"

#include <evenkeel/core/error.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "norm/cut.h"

namespace evenkeel::norm {
namespace {

std::string describe(const ConstChannelView& x) {
  return fmt::format("[{}, {}, {}] {} {}", x.n, x.c, x.s, name_of(x.dtype), name_of(x.layout));
}

std::uintptr_t address(const void* data) { return reinterpret_cast<std::uintptr_t>(data); }

/// There, where there is anything, and on an element's boundary.
void check_pointer(const ConstChannelView& x, const char* name) {
  if (x.numel() == 0) return;
  if (x.data == nullptr) {
    fail<ShapeError>("[batch_norm] expected data for {} {}, got a null pointer", name, describe(x));
  }
  if (address(x.data) % size_of(x.dtype) != 0) {
    fail<UsageError>("[batch_norm] expected {} at an address divisible by {}, got remainder {}", name,
                     size_of(x.dtype), address(x.data) % size_of(x.dtype));
  }
}

bool overlap(const ConstChannelView& a, const ConstChannelView& b) {
  const auto bytes = [](const ConstChannelView& v) {
    return static_cast<std::uintptr_t>(v.numel()) * size_of(v.dtype);
  };
  return address(a.data) < address(b.data) + bytes(b) &&
         address(b.data) < address(a.data) + bytes(a);
}

}  // namespace

void check_dims(const ConstChannelView& x) {
  if (x.n < 0 || x.c < 1 || x.s < 0) {
    fail<ShapeError>("[batch_norm] expected [N, C, S] with at least one channel, got {}",
                     describe(x));
  }
  if (x.dtype != DType::f32 && x.dtype != DType::f64 && x.dtype != DType::bf16) {
    fail<ShapeError>("[batch_norm] expected f32, bf16 or f64 activations, got {}; convert them first",
                     name_of(x.dtype));
  }
  // The bytes must be countable; extents beside an empty one as well, since products are formed.
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / 16;
  const std::int64_t rows = most / std::max<std::int64_t>(x.n, 1);
  if (x.c > rows || x.s > rows / x.c) {
    fail<ShapeError>("[batch_norm] the elements of {} are too many to count", describe(x));
  }
}

void check_input(const ConstChannelView& x) {
  check_dims(x);
  check_pointer(x, "x");
}

void check_same(const ConstChannelView& x, const ConstChannelView& other, const char* name) {
  // Layouts of [N, C] coincide.
  const bool same_layout = x.layout == other.layout || x.s == 1 || x.c == 1;
  if (other.n != x.n || other.c != x.c || other.s != x.s || other.dtype != x.dtype ||
      !same_layout) {
    fail<ShapeError>("[batch_norm] expected {} like x, {}, got {}", name, describe(x),
                     describe(other));
  }
  check_pointer(other, name);
}

void check_overlap(const Named& output, std::initializer_list<Named> same,
                   std::initializer_list<Named> apart) {
  for (const Named& input : same) {
    if (output.view.data == input.view.data || !overlap(output.view, input.view)) continue;
    fail<UsageError>(
        "[batch_norm] expected {} to be {} or to lie apart from it, got memory that overlaps in part",
        output.name, input.name);
  }
  for (const Named& other : apart) {
    if (!overlap(output.view, other.view)) continue;
    fail<UsageError>("[batch_norm] expected {} apart from {}, got memory that overlaps; give it its own",
                     output.name, other.name);
  }
}

void check_channels(const ConstChannelView& x, std::size_t size, const void* data,
                    const char* name) {
  if (size != static_cast<std::size_t>(x.c)) {
    fail<ShapeError>("[batch_norm] expected {} values of {} for {} channels, got {}", x.c, name, x.c,
                     size);
  }
  if (data == nullptr) {
    fail<ShapeError>("[batch_norm] expected {} values of {}, got a null pointer", x.c, name);
  }
}

void check_data(std::span<const double> values, const char* name) {
  if (values.data() == nullptr && !values.empty()) {
    fail<ShapeError>("[batch_norm] expected {} values of {}, got a null pointer", values.size(), name);
  }
}

void check_affine(const ConstChannelView& x, const Affine& affine) {
  if (!affine.gamma.empty()) check_channels(x, affine.gamma, "gamma");
  if (!affine.beta.empty()) check_channels(x, affine.beta, "beta");
}

void check_eps(double eps) {
  if (!(eps >= 0) || !std::isfinite(eps)) {
    fail<UsageError>("[batch_norm] expected eps of 0 or more, got {}; 1e-5 is usual", eps);
  }
}

void check_epilogue(const ConstChannelView& x, const Epilogue& epilogue) {
  if (epilogue.add) check_same(x, *epilogue.add, "the added tensor");
  if (epilogue.activation == Activation::leaky_relu && !std::isfinite(epilogue.slope)) {
    fail<UsageError>("[batch_norm] expected a finite slope, got {}", epilogue.slope);
  }
}

void check_state(const ConstChannelView& x, const BatchNormState& state, const Epilogue& epilogue) {
  check_channels(x, state.mean, "state.mean");
  check_channels(x, state.var, "state.var");
  check_channels(x, state.inv_std, "state.inv_std");
  if (epilogue.activation != Activation::none &&
      (state.mask.data() == nullptr ||
       state.mask.size() < static_cast<std::size_t>(Cut(x).mask_bytes()) + 8)) {
    fail<ShapeError>("[batch_norm] the state has no room for the mask of {}; bind it with the same "
                     "epilogue",
                     describe(x));
  }
}

void check_count(const ConstChannelView& x) {
  if (x.count() == 1) {
    fail<ShapeError>(
        "[batch_norm] expected more than one value per channel when training, got input [{}, {}, "
        "{}]; use eval(), a larger batch, or drop_last",
        x.n, x.c, x.s);
  }
}

void check_running(std::size_t channels, const RunningStats& running) {
  if (running.mean.size() != channels || running.var.size() != channels) {
    fail<ShapeError>("[batch_norm] expected running statistics of {} channels, got {} and {}",
                     channels, running.mean.size(), running.var.size());
  }
  check_data(running.mean, "running.mean");
  check_data(running.var, "running.var");
  if (!running.momentum && running.batches == nullptr) {
    fail<UsageError>("[batch_norm] the cumulative average needs a count of batches");
  }
  if (running.batches != nullptr && *running.batches < 0) {
    fail<UsageError>("[batch_norm] expected 0 or more batches behind the averages, got {}",
                     *running.batches);
  }
  if (running.momentum && !(*running.momentum >= 0 && *running.momentum <= 1)) {
    fail<UsageError>("[batch_norm] expected momentum from 0 to 1, got {}", *running.momentum);
  }
}

}  // namespace evenkeel::norm
