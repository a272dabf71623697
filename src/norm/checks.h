// Argument checks of the batch norm operators: all before anything is written.
#pragma once

#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::norm {

void check_input(const ConstChannelView& x);
/// `other` must have x's dimensions, dtype and layout.
void check_same(const ConstChannelView& x, const ConstChannelView& other, const char* name);
void check_channels(const ConstChannelView& x, std::size_t size, const char* name);
void check_affine(const ConstChannelView& x, const Affine& affine);
void check_eps(double eps);
void check_epilogue(const ConstChannelView& x, const Epilogue& epilogue);
void check_state(const ConstChannelView& x, const BatchNormState& state, const Epilogue& epilogue);
/// One value per channel has no variance.
void check_count(const ConstChannelView& x);
void check_running(std::size_t channels, const RunningStats& running);

}  // namespace evenkeel::norm
