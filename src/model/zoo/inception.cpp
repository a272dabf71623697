// A small Inception network with normalization in every branch (after Ioffe and Szegedy 2015,
// https://arxiv.org/abs/1502.03167, appendix: the 5×5 convolutions are two 3×3).

#include "model/zoo/blocks.h"
#include "model/zoo/zoo.h"
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>

namespace evenkeel::model {
namespace {

/// Filters of a module's branches; a one is left out where 0.
struct Widths {
  std::int64_t one;                      ///< 1×1
  std::int64_t three_in, three;          ///< 1×1, 3×3
  std::int64_t double_in, double_three;  ///< 1×1, 3×3, 3×3
  std::int64_t pool;  ///< 3×3 mean, 1×1; of a reducing module: the maximum alone
};

/// Four branches side by side. A reducing module has no 1×1 branch, and halves height and width in
/// the others.
std::int64_t add_module(nn::Sequential& net, const Blocks& blocks, std::int64_t in,
                        const Widths& w) {
  const bool reduce = w.one == 0;
  const std::int64_t stride = reduce ? 2 : 1;
  nn::Concat branches;
  if (!reduce) {
    nn::Sequential one;
    blocks.add_conv(one, in, w.one, 1);
    branches.add(std::move(one));
  }
  nn::Sequential three;
  blocks.add_conv(three, in, w.three_in, 1);
  blocks.add_conv(three, w.three_in, w.three, 3, stride);
  branches.add(std::move(three));
  nn::Sequential twice;
  blocks.add_conv(twice, in, w.double_in, 1);
  blocks.add_conv(twice, w.double_in, w.double_three, 3);
  blocks.add_conv(twice, w.double_three, w.double_three, 3, stride);
  branches.add(std::move(twice));
  nn::Sequential pool;
  if (reduce) {
    pool.add(nn::MaxPool2d(3, {.stride = 2, .padding = 1}));
  } else {
    pool.add(nn::AvgPool2d(3, {.stride = 1, .padding = 1}));
    blocks.add_conv(pool, in, w.pool, 1);
  }
  branches.add(std::move(pool));
  net.add(std::move(branches));
  return w.one + w.three + w.double_three + (reduce ? in : w.pool);
}

}  // namespace

/// 28 million multiply-adds for an image of [3, 32, 32].
nn::Sequential build_inception_small(const NetworkOptions& options) {
  const Blocks blocks(options);
  nn::Sequential net;
  blocks.add_input_norm2d(net, options.input[0]);
  blocks.add_conv(net, options.input[0], 24, 3);
  blocks.add_conv(net, 24, 48, 3, 2);
  std::int64_t channels = add_module(net, blocks, 48, {32, 32, 48, 24, 32, 16});
  channels = add_module(net, blocks, channels, {0, 48, 96, 24, 32, 0});
  channels = add_module(net, blocks, channels, {96, 48, 80, 32, 48, 32});
  net.add(nn::GlobalAvgPool());
  blocks.add_dropout(net);
  net.add(nn::Linear(channels, options.classes));
  return net;
}

}  // namespace evenkeel::model
