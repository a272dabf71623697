#include "norm/workspace.h"

#include "norm/checks.h"

namespace evenkeel::norm {
namespace {

constexpr std::size_t kMaskPadding = 8;  // a vector of mask bits is read 8 bytes at a time

std::size_t round8(std::size_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace

Scratch::Scratch(const Cut& cut, std::span<std::byte> memory) {
  Arena arena(memory, "workspace");
  partial_a = arena.take<double>(cut.groups * cut.channels);
  partial_b = arena.take<double>(cut.groups * cut.channels);
  partial_c = arena.take<double>(cut.groups * cut.channels);
  group_count = arena.take<double>(cut.groups);
  for (auto* span : {&sum_a, &sum_b, &a, &b}) *span = arena.take<double>(cut.channels);
  auto& q = coefficients;
  for (auto* span : {&a_hi, &a_lo, &b_f32, &centre, &q.hi, &q.lo, &q.scale, &q.shift}) {
    *span = arena.take<float>(cut.channels);
  }
  q.wide = arena.take<std::uint8_t>(cut.channels);
  q.extreme = arena.take<std::uint8_t>(cut.channels);
  for (std::int64_t g = 0; g < cut.groups; ++g) {
    double count = 0;
    for (std::int64_t i = cut.group_begin(g); i < cut.group_end(g); ++i) {
      count += static_cast<double>(cut.block(i).count());
    }
    group_count[static_cast<std::size_t>(g)] = count;
  }
}

std::size_t Scratch::size(const Cut& cut) {
  const auto channels = static_cast<std::size_t>(cut.channels);
  const auto groups = static_cast<std::size_t>(cut.groups);
  return 3 * groups * channels * sizeof(double) + groups * sizeof(double) +
         4 * channels * sizeof(double) + 8 * round8(channels * sizeof(float)) +
         2 * round8(channels);
}

std::size_t workspace_size(const ConstChannelView& x) {
  check_dims(x);
  return Scratch::size(Cut(x));
}

std::size_t state_size(const ConstChannelView& x, const Epilogue& epilogue) {
  check_dims(x);
  const std::size_t mask =
      epilogue.activation == Activation::none
          ? 0
          : round8(static_cast<std::size_t>(Cut(x).mask_bytes()) + kMaskPadding);
  return 3 * static_cast<std::size_t>(x.c) * sizeof(double) + mask;
}

BatchNormState bind_state(std::span<std::byte> memory, const ConstChannelView& x,
                          const Epilogue& epilogue) {
  check_dims(x);
  Arena arena(memory, "state");
  BatchNormState state;
  state.mean = arena.take<double>(x.c);
  state.var = arena.take<double>(x.c);
  state.inv_std = arena.take<double>(x.c);
  if (epilogue.activation != Activation::none) {
    state.mask = arena.take<std::uint8_t>(Cut(x).mask_bytes() +
                                          static_cast<std::int64_t>(kMaskPadding));
  }
  return state;
}

}  // namespace evenkeel::norm
