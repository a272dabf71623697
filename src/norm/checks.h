// Argument checks of the batch norm operators: all before anything is written.
#pragma once

#include <evenkeel/norm/batch_norm.h>

#include <initializer_list>
#include <span>

namespace evenkeel::norm {

/// The dimensions and dtype alone.
void check_dims(const ConstChannelView& x);
/// And the data.
void check_input(const ConstChannelView& x);
/// `other` must have x's dimensions, dtype and layout.
void check_same(const ConstChannelView& x, const ConstChannelView& other, const char* name);

struct Named {
  ConstChannelView view;
  const char* name;
};
/// `output` must be one of `same` exactly, or lie apart from it, and apart from all of `apart`.
void check_overlap(const Named& output, std::initializer_list<Named> same,
                   std::initializer_list<Named> apart = {});

void check_channels(const ConstChannelView& x, std::size_t size, const void* data,
                    const char* name);
/// One value per channel: a span, or a vector view.
template <class Values>
void check_channels(const ConstChannelView& x, const Values& values, const char* name) {
  check_channels(x, values.size(), values.data(), name);
}
/// Throws for a span that claims values at a null pointer.
void check_data(std::span<const double> values, const char* name);
void check_affine(const ConstChannelView& x, const Affine& affine);
void check_eps(double eps);
void check_epilogue(const ConstChannelView& x, const Epilogue& epilogue);
void check_state(const ConstChannelView& x, const BatchNormState& state, const Epilogue& epilogue);
/// One value per channel has no variance.
void check_count(const ConstChannelView& x);
void check_running(std::size_t channels, const RunningStats& running);

}  // namespace evenkeel::norm
