#include <algorithm>

#include "nn/layers/checks.h"
#include "nn/layers/pair_options.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/pool.h>

namespace evenkeel::nn {
namespace {

Pair or_kernel(Pair stride, Pair kernel) { return stride == Pair(0) ? kernel : stride; }

Pair pair_of(const std::array<std::int64_t, 2>& values) { return {values[0], values[1]}; }

Pair kernel_of(const Options& options, int spatial_rank, std::string_view type) {
  return spatial_rank == 1 ? Pair(options.require_int("kernel_size", type), 1)
                           : require_pair(options, "kernel_size", type);
}

}  // namespace

Pool::Pool(std::string_view type, ops::PoolKind kind, int spatial_rank, Pair kernel, Pair stride,
           Pair padding, bool count_include_pad)
    : kind_(kind), spatial_rank_(spatial_rank) {
  expect_at_least(type, "kernel_size", std::min(kernel.height, kernel.width), 1);
  expect_at_least(type, "stride", std::min(stride.height, stride.width), 1);
  expect_at_least(type, "padding", std::min(padding.height, padding.width), 0);
  if (2 * padding.height > kernel.height || 2 * padding.width > kernel.width) {
    fail<UsageError>("[{}] expected padding of at most half the kernel, got {} for a kernel of {}",
                     type, to_string(pair_value(spatial_rank, padding)),
                     to_string(pair_value(spatial_rank, kernel)));
  }
  geometry_ = {.kernel = {kernel.height, kernel.width},
               .stride = {stride.height, stride.width},
               .padding = {padding.height, padding.width},
               .count_include_pad = count_include_pad};
}

Options Pool::options() const {
  Options result{{"kernel_size", pair_value(spatial_rank_, pair_of(geometry_.kernel))},
                 {"stride", pair_value(spatial_rank_, pair_of(geometry_.stride))},
                 {"padding", pair_value(spatial_rank_, pair_of(geometry_.padding))}};
  if (kind_ == ops::PoolKind::average) {
    result.set("count_include_pad", geometry_.count_include_pad);
  }
  return result;
}

Shape Pool::output_shape(const Shape& input) const {
  expect_spatial(*this, input, spatial_rank_, 0);
  Shape result = input;
  for (int i = 0; i < spatial_rank_; ++i) {
    const auto axis = static_cast<std::size_t>(i);
    const std::int64_t padded = input[2 + i] + 2 * geometry_.padding[axis];
    if (padded < geometry_.kernel[axis]) {
      fail<ShapeError>(
          "[{}] expected at least {} positions in dimension {} with its padding, got {} from {}; "
          "use a larger input or a smaller kernel",
          label(), geometry_.kernel[axis], 2 + i, padded, input.str());
    }
    result = result.with(2 + i, (padded - geometry_.kernel[axis]) / geometry_.stride[axis] + 1);
  }
  return result;
}

Tensor Pool::forward(const Tensor& x) {
  Tensor y = Tensor::empty(output_shape(x.shape()), x.dtype(), x.layout());
  Tensor memory = ops::pool_forward(kind_, x, geometry_, y, recording());
  if (recording()) saved_.push({x.shape(), x.dtype(), x.layout(), std::move(memory)});
  return y;
}

Tensor Pool::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, output_shape(saved.input), saved.dtype, saved.layout);
  Tensor dx = Tensor::empty(saved.input, saved.dtype, saved.layout);
  ops::pool_backward(kind_, gradient, saved.memory, geometry_, dx);
  saved_.pop();
  return dx;
}

MaxPool1d::MaxPool1d(std::int64_t kernel_size, MaxPool1dOptions options)
    : Cloneable("MaxPool1d", ops::PoolKind::max, 1, Pair(kernel_size, 1),
                Pair(options.stride == 0 ? kernel_size : options.stride, 1),
                Pair(options.padding, 0), true) {}

MaxPool2d::MaxPool2d(Pair kernel_size, MaxPool2dOptions options)
    : Cloneable("MaxPool2d", ops::PoolKind::max, 2, kernel_size,
                or_kernel(options.stride, kernel_size), options.padding, true) {}

AvgPool1d::AvgPool1d(std::int64_t kernel_size, AvgPool1dOptions options)
    : Cloneable("AvgPool1d", ops::PoolKind::average, 1, Pair(kernel_size, 1),
                Pair(options.stride == 0 ? kernel_size : options.stride, 1),
                Pair(options.padding, 0), options.count_include_pad) {}

AvgPool2d::AvgPool2d(Pair kernel_size, AvgPool2dOptions options)
    : Cloneable("AvgPool2d", ops::PoolKind::average, 2, kernel_size,
                or_kernel(options.stride, kernel_size), options.padding,
                options.count_include_pad) {}

Shape GlobalAvgPool::output_shape(const Shape& input) const {
  if (input.rank() < 3) {
    fail<ShapeError>(
        "[{}] expected [N, C, spatial...], got {}; put it behind layers with positions", label(),
        input.str());
  }
  if (input.numel() == 0 && input[0] != 0 && input[1] != 0) {
    fail<ShapeError>("[{}] expected at least one position per channel, got {}", label(),
                     input.str());
  }
  return {input[0], input[1]};
}

Tensor GlobalAvgPool::forward(const Tensor& x) {
  Tensor y = Tensor::empty(output_shape(x.shape()), x.dtype());
  ops::global_average_pool_forward(x, y);
  if (recording()) saved_.push({x.shape(), x.dtype(), x.layout()});
  return y;
}

Tensor GlobalAvgPool::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, output_shape(saved.input), saved.dtype, Layout::channels_first);
  Tensor dx = Tensor::empty(saved.input, saved.dtype, saved.layout);
  ops::global_average_pool_backward(gradient, dx);
  saved_.pop();
  return dx;
}

LayerRow max_pool1d_row() {
  return {"MaxPool1d",
          "largest of each window of [N, C, L]: kernel_size, stride (0: as the kernel), padding",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<MaxPool1d>(
                kernel_of(options, 1, "MaxPool1d").height,
                MaxPool1dOptions{.stride = options.get("stride", std::int64_t{0}),
                                 .padding = options.get("padding", std::int64_t{0})});
          },
          {{{{"kernel_size", std::int64_t{2}}}, {2, 3, 6}},
           {{{"kernel_size", std::int64_t{3}},
             {"stride", std::int64_t{2}},
             {"padding", std::int64_t{1}}},
            {2, 2, 7}}}};
}

LayerRow max_pool2d_row() {
  return {"MaxPool2d",
          "largest of each window of [N, C, H, W]: kernel_size, stride (0: as the kernel), padding",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<MaxPool2d>(
                kernel_of(options, 2, "MaxPool2d"),
                MaxPool2dOptions{.stride = get_pair(options, "stride", 0, "MaxPool2d"),
                                 .padding = get_pair(options, "padding", 0, "MaxPool2d")});
          },
          {{{{"kernel_size", std::int64_t{2}}}, {2, 3, 4, 5}},
           {{{"kernel_size", std::vector<std::int64_t>{3, 2}},
             {"stride", std::int64_t{2}},
             {"padding", std::vector<std::int64_t>{1, 0}}},
            {2, 2, 5, 4}}}};
}

LayerRow avg_pool1d_row() {
  return {"AvgPool1d",
          "mean of each window of [N, C, L]: kernel_size, stride (0: as the kernel), padding, "
          "count_include_pad",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<AvgPool1d>(
                kernel_of(options, 1, "AvgPool1d").height,
                AvgPool1dOptions{.stride = options.get("stride", std::int64_t{0}),
                                 .padding = options.get("padding", std::int64_t{0}),
                                 .count_include_pad = options.get("count_include_pad", true)});
          },
          {{{{"kernel_size", std::int64_t{2}}}, {2, 3, 6}},
           {{{"kernel_size", std::int64_t{3}},
             {"stride", std::int64_t{2}},
             {"padding", std::int64_t{1}}},
            {2, 2, 7}}}};
}

LayerRow avg_pool2d_row() {
  return {"AvgPool2d",
          "mean of each window of [N, C, H, W]: kernel_size, stride (0: as the kernel), padding, "
          "count_include_pad",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<AvgPool2d>(
                kernel_of(options, 2, "AvgPool2d"),
                AvgPool2dOptions{.stride = get_pair(options, "stride", 0, "AvgPool2d"),
                                 .padding = get_pair(options, "padding", 0, "AvgPool2d"),
                                 .count_include_pad = options.get("count_include_pad", true)});
          },
          {{{{"kernel_size", std::int64_t{2}}}, {2, 3, 4, 5}},
           {{{"kernel_size", std::int64_t{3}},
             {"stride", std::vector<std::int64_t>{2, 1}},
             {"padding", std::int64_t{1}},
             {"count_include_pad", false}},
            {2, 2, 5, 4}}}};
}

LayerRow global_avg_pool_row() {
  return {
      "GlobalAvgPool",
      "mean over all positions: [N, C, spatial...] to [N, C]",
      [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<GlobalAvgPool>(); },
      {{{}, {2, 3, 4}}, {{}, {2, 3, 4, 2}}}};
}

}  // namespace evenkeel::nn
