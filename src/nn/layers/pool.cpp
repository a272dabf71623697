#include <algorithm>
#include <array>

#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include "nn/layers/size_options.h"
#include <evenkeel/nn/layers/pool.h>

namespace evenkeel::nn {
namespace {

using ops::PoolKind;

std::string_view name_of(PoolKind kind, int spatial_rank) {
  using Names = std::array<std::string_view, ops::kMostSpatial>;
  constexpr Names kMax{"MaxPool1d", "MaxPool2d", "MaxPool3d"};
  constexpr Names kAverage{"AvgPool1d", "AvgPool2d", "AvgPool3d"};
  return (kind == PoolKind::max ? kMax : kAverage)[static_cast<std::size_t>(spatial_rank - 1)];
}

template <int Rank>
ops::PoolOptions geometry_of(const Sizes<Rank>& kernel, const Sizes<Rank>& stride,
                             const Sizes<Rank>& padding, bool count_include_pad) {
  return {.kernel = spatial_of(kernel, 1),
          .stride = spatial_of(stride == Sizes<Rank>(0) ? kernel : stride, 1),
          .padding = spatial_of(padding, 0),
          .count_include_pad = count_include_pad};
}

}  // namespace

Pool::Pool(ops::PoolKind kind, int spatial_rank, const ops::PoolOptions& geometry)
    : kind_(kind), spatial_rank_(spatial_rank), geometry_(geometry) {
  const std::string_view name = name_of(kind, spatial_rank);
  for (std::size_t i = 0; i < geometry.kernel.size(); ++i) {
    expect_at_least(name, "kernel_size", geometry.kernel[i], 1);
    expect_at_least(name, "stride", geometry.stride[i], 1);
    expect_at_least(name, "padding", geometry.padding[i], 0);
    if (geometry.padding[i] > geometry.kernel[i] / 2) {
      fail<UsageError>(
          "[{}] expected padding of at most half the kernel, got {} for a kernel of {}", name,
          to_string(size_value(spatial_rank, geometry.padding)),
          to_string(size_value(spatial_rank, geometry.kernel)));
    }
  }
}

std::string_view Pool::type() const { return name_of(kind_, spatial_rank_); }

Options Pool::options() const {
  Options result{{"kernel_size", size_value(spatial_rank_, geometry_.kernel)},
                 {"stride", size_value(spatial_rank_, geometry_.stride)},
                 {"padding", size_value(spatial_rank_, geometry_.padding)}};
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

template <int Rank>
MaxPoolNd<Rank>::MaxPoolNd(Sizes<Rank> kernel_size, MaxPoolOptions<Rank> options)
    : Cloneable<MaxPoolNd<Rank>, Pool>(
          PoolKind::max, Rank, geometry_of(kernel_size, options.stride, options.padding, true)) {}

template <int Rank>
AvgPoolNd<Rank>::AvgPoolNd(Sizes<Rank> kernel_size, AvgPoolOptions<Rank> options)
    : Cloneable<AvgPoolNd<Rank>, Pool>(
          PoolKind::average, Rank,
          geometry_of(kernel_size, options.stride, options.padding, options.count_include_pad)) {}

template class MaxPoolNd<1>;
template class MaxPoolNd<2>;
template class MaxPoolNd<3>;
template class AvgPoolNd<1>;
template class AvgPoolNd<2>;
template class AvgPoolNd<3>;

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

namespace {

template <int Rank>
LayerRow max_row(std::vector<LayerSample> samples) {
  const std::string name(name_of(PoolKind::max, Rank));
  return {
      name,
      fmt::format("largest of each window of {}: kernel_size, stride (0: as the kernel), padding",
                  pattern_of(Rank, 0)),
      [name](const Options& options) -> std::unique_ptr<Module> {
        const auto kernel = get_required_sizes<Rank>(options, "kernel_size", name);
        MaxPoolOptions<Rank> rest;
        rest.stride = get_sizes(options, "stride", rest.stride, name);
        rest.padding = get_sizes(options, "padding", rest.padding, name);
        return std::make_unique<MaxPoolNd<Rank>>(kernel, rest);
      },
      std::move(samples)};
}

template <int Rank>
LayerRow average_row(std::vector<LayerSample> samples) {
  const std::string name(name_of(PoolKind::average, Rank));
  return {name,
          fmt::format("mean of each window of {}: kernel_size, stride (0: as the kernel), padding, "
                      "count_include_pad",
                      pattern_of(Rank, 0)),
          [name](const Options& options) -> std::unique_ptr<Module> {
            const auto kernel = get_required_sizes<Rank>(options, "kernel_size", name);
            AvgPoolOptions<Rank> rest;
            rest.stride = get_sizes(options, "stride", rest.stride, name);
            rest.padding = get_sizes(options, "padding", rest.padding, name);
            rest.count_include_pad = options.get("count_include_pad", true);
            return std::make_unique<AvgPoolNd<Rank>>(kernel, rest);
          },
          std::move(samples)};
}

constexpr std::int64_t kOne = 1, kTwo = 2, kThree = 3;
using Each = std::vector<std::int64_t>;

std::vector<LayerSample> line_samples() {
  return {{{{"kernel_size", kTwo}}, {2, 3, 6}},
          {{{"kernel_size", kThree}, {"stride", kTwo}, {"padding", kOne}}, {2, 2, 7}}};
}

}  // namespace

LayerRow max_pool1d_row() { return max_row<1>(line_samples()); }

LayerRow max_pool2d_row() {
  return max_row<2>(
      {{{{"kernel_size", kTwo}}, {2, 3, 4, 5}},
       {{{"kernel_size", Each{3, 2}}, {"stride", kTwo}, {"padding", Each{1, 0}}}, {2, 2, 5, 4}}});
}

LayerRow max_pool3d_row() {
  return max_row<3>(
      {{{{"kernel_size", kTwo}}, {2, 3, 2, 4, 3}},
       {{{"kernel_size", Each{2, 3, 1}}, {"stride", Each{1, 2, 1}}, {"padding", Each{1, 1, 0}}},
        {2, 2, 2, 4, 2}}});
}

LayerRow avg_pool1d_row() { return average_row<1>(line_samples()); }

LayerRow avg_pool2d_row() {
  return average_row<2>({{{{"kernel_size", kTwo}}, {2, 3, 4, 5}},
                         {{{"kernel_size", kThree},
                           {"stride", Each{2, 1}},
                           {"padding", kOne},
                           {"count_include_pad", false}},
                          {2, 2, 5, 4}}});
}

LayerRow avg_pool3d_row() {
  return average_row<3>({{{{"kernel_size", kTwo}}, {2, 3, 2, 4, 3}},
                         {{{"kernel_size", Each{2, 3, 1}},
                           {"stride", Each{1, 2, 1}},
                           {"padding", Each{1, 1, 0}},
                           {"count_include_pad", false}},
                          {2, 2, 2, 4, 2}}});
}

LayerRow global_avg_pool_row() {
  return {
      "GlobalAvgPool",
      "mean over all positions: [N, C, spatial...] to [N, C]",
      [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<GlobalAvgPool>(); },
      {{{}, {2, 3, 4}}, {{}, {2, 3, 4, 2}}}};
}

}  // namespace evenkeel::nn
