#include "norm/checks.h"

#include <evenkeel/core/error.h>

#include <cmath>

#include "norm/cut.h"

namespace evenkeel::norm {
namespace {

std::string describe(const ConstChannelView& x) {
  return fmt::format("[{}, {}, {}] {} {}", x.n, x.c, x.s, name_of(x.dtype), name_of(x.layout));
}

}  // namespace

void check_input(const ConstChannelView& x) {
  if (x.n < 0 || x.c < 1 || x.s < 0) {
    fail<ShapeError>("[batch_norm] expected [N, C, S] with at least one channel, got {}",
                     describe(x));
  }
  if (x.dtype != DType::f32 && x.dtype != DType::f64) {
    fail<ShapeError>("[batch_norm] expected f32 or f64 activations, got {}; convert them first",
                     name_of(x.dtype));
  }
  if (x.data == nullptr && x.numel() != 0) {
    fail<ShapeError>("[batch_norm] expected data for {}, got a null pointer", describe(x));
  }
}

void check_same(const ConstChannelView& x, const ConstChannelView& other, const char* name) {
  // Layouts of [N, C] coincide.
  const bool same_layout = x.layout == other.layout || x.s == 1 || x.c == 1;
  if (other.n != x.n || other.c != x.c || other.s != x.s || other.dtype != x.dtype ||
      !same_layout) {
    fail<ShapeError>("[batch_norm] expected {} like x, {}, got {}", name, describe(x),
                     describe(other));
  }
  if (other.data == nullptr && other.numel() != 0) {
    fail<ShapeError>("[batch_norm] expected data for {}, got a null pointer", name);
  }
}

void check_channels(const ConstChannelView& x, std::size_t size, const char* name) {
  if (size != static_cast<std::size_t>(x.c)) {
    fail<ShapeError>("[batch_norm] expected {} values of {} for {} channels, got {}", x.c, name, x.c,
                     size);
  }
}

void check_affine(const ConstChannelView& x, const Affine& affine) {
  if (!affine.gamma.empty()) check_channels(x, affine.gamma.size(), "gamma");
  if (!affine.beta.empty()) check_channels(x, affine.beta.size(), "beta");
}

void check_eps(double eps) {
  if (!(eps >= 0) || !std::isfinite(eps)) {
    fail<UsageError>("[batch_norm] expected eps of 0 or more, got {}; 1e-5 is usual", eps);
  }
}

void check_epilogue(const ConstChannelView& x, const Epilogue& epilogue) {
  if (epilogue.add) check_same(x, *epilogue.add, "the added tensor");
}

void check_state(const ConstChannelView& x, const BatchNormState& state, const Epilogue& epilogue) {
  check_channels(x, state.mean.size(), "state.mean");
  check_channels(x, state.var.size(), "state.var");
  check_channels(x, state.inv_std.size(), "state.inv_std");
  if (epilogue.activation != Activation::none &&
      state.mask.size() < static_cast<std::size_t>(Cut(x).mask_bytes()) + 8) {
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
