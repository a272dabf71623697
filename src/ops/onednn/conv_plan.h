// One compiled convolution: which of oneDNN's implementations runs, in which memory formats, and
// what must be reordered around it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <dnnl.hpp>

#include "ops/conv_geometry.h"
#include "ops/onednn/conv_post.h"

namespace evenkeel::ops::onednn {

enum class ConvDirection : std::uint8_t { forward, backward_data, backward_weight };

/// The format of the caller's tensor, the format the primitive wants, and the way between them in
/// the direction of the data (no reorder where they are equal).
struct ConvTensor {
  dnnl::memory::desc user;
  dnnl::memory::desc internal;
  dnnl::reorder reorder;
  std::size_t reorder_scratch = 0;

  bool direct() const { return user == internal; }
  std::size_t bytes() const { return direct() ? 0 : internal.get_size(); }
};

/// x and y stand for dx and dy where the direction says so.
struct ConvPlan {
  ConvDirection direction;
  dnnl::primitive primitive;
  ConvTensor x, weight, y;
  dnnl::memory::desc bias;
  dnnl::memory::desc scratchpad;
  std::string implementation;
  ConvPost post;
  int threads = 1;
};

/// The plan for `samples` of g's samples, made for and to be run with `threads` threads. Cached. With
/// something to do to the results (forward alone) the plan either does all of it, on y in the
/// caller's format, or, where that would be slow, nothing: see its `post`.
std::shared_ptr<const ConvPlan> conv_plan(ConvDirection direction, const ConvGeometry& g,
                                          std::int64_t samples, bool with_bias, int threads,
                                          const ConvPost& post = {});

}  // namespace evenkeel::ops::onednn
