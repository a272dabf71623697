#include "nn/layers/recover.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <evenkeel/core/parallel.h>

namespace evenkeel::nn {
namespace {

bool in_range(double value) {
  return std::abs(value) >= kLeastScale && std::abs(value) <= kMostScale;
}

/// Whether y gives a channel back; false for NaN.
bool recoverable(double gamma, double beta) {
  return in_range(gamma) && std::abs(beta) <= kMostShift * std::abs(gamma);
}

double value_or(const norm::ConstVectorView& values, std::int64_t i, double otherwise) {
  return values.empty() ? otherwise : values[i];
}

/// A part of [N, C, S] beside the kept channels of its samples. Both consist of rows, and these of
/// runs of one channel, as long as the layout makes them.
struct Runs {
  std::int64_t rows, channels, bytes;

  explicit Runs(const norm::ConstChannelView& x)
      : rows(x.layout == Layout::channels_last ? x.n * x.s : x.n),
        channels(x.c),
        bytes((x.layout == Layout::channels_last ? 1 : x.s) *
              static_cast<std::int64_t>(size_of(x.dtype))) {}

  /// f(place in x, place in what is kept), in bytes, for each run of the `chosen` channels.
  template <class F>
  void for_each(const std::vector<std::int64_t>& chosen, F&& f) const {
    const auto count = static_cast<std::int64_t>(chosen.size());
    parallel_for(rows, count * bytes, [&](std::int64_t row) {
      for (std::int64_t k = 0; k < count; ++k) {
        f((row * channels + chosen[static_cast<std::size_t>(k)]) * bytes,
          (row * count + k) * bytes);
      }
    });
  }
};

}  // namespace

bool invertible(norm::Activation activation, double slope) {
  if (activation == norm::Activation::none) return true;
  return activation == norm::Activation::leaky_relu && slope > 0 && in_range(slope);
}

Recovery::Recovery(const Tensor& x, const norm::Affine& affine) {
  const norm::ConstChannelView view = norm::view(x);
  gamma_.reserve(static_cast<std::size_t>(view.c));
  beta_.reserve(static_cast<std::size_t>(view.c));
  for (std::int64_t c = 0; c < view.c; ++c) {
    gamma_.push_back(value_or(affine.gamma, c, 1));
    beta_.push_back(value_or(affine.beta, c, 0));
    if (!recoverable(gamma_.back(), beta_.back())) channels_.push_back(c);
  }
  if (channels_.empty()) return;
  const auto count = static_cast<std::int64_t>(channels_.size());
  kept_ = Tensor::empty({view.n, count, view.s}, view.dtype, view.layout);
  const Runs runs(view);
  const auto* const from = static_cast<const std::byte*>(view.data);
  auto* const to = static_cast<std::byte*>(kept_.raw());
  runs.for_each(channels_, [&](std::int64_t in_x, std::int64_t in_kept) {
    std::memcpy(to + in_kept, from + in_x, static_cast<std::size_t>(runs.bytes));
  });
}

bool Recovery::pays(std::int64_t channels, const norm::Affine& affine) {
  std::int64_t kept = 0;
  for (std::int64_t c = 0; c < channels; ++c) {
    kept += recoverable(value_or(affine.gamma, c, 1), value_or(affine.beta, c, 0)) ? 0 : 1;
  }
  return kept <= channels / 4;
}

std::size_t Recovery::scratch_size(const norm::ConstChannelView& y,
                                   const norm::Epilogue& epilogue) {
  return norm::state_size(y, epilogue) + static_cast<std::size_t>(y.c) * sizeof(double);
}

void Recovery::backward(const Part& part, const norm::ConstVectorView& gamma,
                        const norm::Epilogue& epilogue, std::span<std::byte> scratch,
                        std::span<std::byte> workspace) const {
  const auto channels = static_cast<std::size_t>(part.y.c);
  const std::span<double> scale(reinterpret_cast<double*>(scratch.data()), channels);
  norm::BatchNormState state =
      norm::bind_state(scratch.subspan(scale.size_bytes()), part.y, epilogue);
  norm::ConstChannelView z = part.y;
  if (epilogue.activation != norm::Activation::none) {
    // act⁻¹ is a leaky ReLU too. It finds the signs as forward did.
    std::ranges::fill(state.mean, 0.0);
    std::ranges::fill(state.var, 1.0);
    std::ranges::fill(state.inv_std, 1.0);
    const norm::Epilogue inverse{epilogue.activation, 1 / epilogue.slope, std::nullopt};
    norm::normalize(part.y, state, {}, inverse, part.z, workspace);
    z = part.z;
  } else if (!channels_.empty()) {
    if (part.z.data != part.y.data) {
      std::memcpy(part.z.data, part.y.data,
                  static_cast<std::size_t>(part.y.numel()) * size_of(part.y.dtype));
    }
    z = part.z;
  }
  // Of z = γx̂ + β as the input, β is the mean and |γ| the standard deviation: x̂, and with it dγ,
  // are what they were. dx is that of x once γ·inv_std is.
  for (std::size_t c = 0; c < channels; ++c) {
    state.mean[c] = beta_[c];
    state.var[c] = gamma_[c] * gamma_[c];
    state.inv_std[c] = 1 / gamma_[c];
    scale[c] = value_or(gamma, static_cast<std::int64_t>(c), 1) * part.inv_std[c] * gamma_[c];
  }
  if (!channels_.empty()) {
    const Runs runs(part.y);
    const auto before =
        static_cast<std::size_t>(part.begin * kept_.dim(1) * kept_.dim(2)) * size_of(kept_.dtype());
    const auto* const from = static_cast<const std::byte*>(kept_.raw()) + before;
    auto* const to = static_cast<std::byte*>(part.z.data);
    runs.for_each(channels_, [&](std::int64_t in_x, std::int64_t in_kept) {
      std::memcpy(to + in_x, from + in_kept, static_cast<std::size_t>(runs.bytes));
    });
    for (const std::int64_t channel : channels_) {
      const auto c = static_cast<std::size_t>(channel);
      state.mean[c] = part.mean[c];
      state.var[c] = part.var[c];
      state.inv_std[c] = part.inv_std[c];
      scale[c] = value_or(gamma, channel, 1);
    }
  }
  const norm::Affine affine{norm::ConstVectorView(std::span<const double>(scale)), {}};
  (part.constant ? norm::backward_infer : norm::backward_train)(z, part.dy, affine, state, epilogue,
                                                                part.dx, part.dgamma, part.dbeta,
                                                                std::nullopt, workspace);
}

}  // namespace evenkeel::nn
