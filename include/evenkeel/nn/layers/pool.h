// Pooling layers over one to three spatial dimensions, and over all positions.
#pragma once

#include <cstdint>

#include <evenkeel/nn/layers/sizes.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/ops/pool.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them. So for the other options here.
template <int Rank>
struct MaxPoolOptions {
  Sizes<Rank> stride = 0;   ///< 0: as the kernel
  Sizes<Rank> padding = 0;  ///< on both sides, at most half the kernel; never the maximum
};
template <int Rank>
struct AvgPoolOptions {
  Sizes<Rank> stride = 0;
  Sizes<Rank> padding = 0;        ///< zeros on both sides, at most half the kernel
  bool count_include_pad = true;  ///< whether the padding counts in the divisor
};
using MaxPool1dOptions = MaxPoolOptions<1>;
using MaxPool2dOptions = MaxPoolOptions<2>;
using MaxPool3dOptions = MaxPoolOptions<3>;
using AvgPool1dOptions = AvgPoolOptions<1>;
using AvgPool2dOptions = AvgPoolOptions<2>;
using AvgPool3dOptions = AvgPoolOptions<3>;

/// What the pools over windows share. x [N, C, spatial...] f32, f64 or bf16 in either layout → y
/// [N, C, spatial...] in x's layout; each extent becomes (I + 2·padding − K) / stride + 1, rounded
/// down.
class Pool : public Module {
 public:
  std::string_view type() const override;
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

  const ops::PoolOptions& geometry() const { return geometry_; }

 protected:
  /// Throws UsageError for values out of range.
  Pool(ops::PoolKind kind, int spatial_rank, const ops::PoolOptions& geometry);

 private:
  struct Saved {
    Shape input;
    DType dtype;
    Layout layout;
    Tensor memory;
  };
  SavedBase* own_saved() override { return &saved_; }

  ops::PoolKind kind_;
  int spatial_rank_;
  ops::PoolOptions geometry_;
  SavedStack<Saved> saved_;
};

template <int Rank>
class MaxPoolNd : public Cloneable<MaxPoolNd<Rank>, Pool> {
 public:
  explicit MaxPoolNd(Sizes<Rank> kernel_size, MaxPoolOptions<Rank> options = {});
};
template <int Rank>
class AvgPoolNd : public Cloneable<AvgPoolNd<Rank>, Pool> {
 public:
  explicit AvgPoolNd(Sizes<Rank> kernel_size, AvgPoolOptions<Rank> options = {});
};

using MaxPool1d = MaxPoolNd<1>;
using MaxPool2d = MaxPoolNd<2>;
using MaxPool3d = MaxPoolNd<3>;
using AvgPool1d = AvgPoolNd<1>;
using AvgPool2d = AvgPoolNd<2>;
using AvgPool3d = AvgPoolNd<3>;

/// The mean over all positions: x [N, C, spatial...] in either layout → y [N, C].
class GlobalAvgPool : public Cloneable<GlobalAvgPool> {
 public:
  std::string_view type() const override { return "GlobalAvgPool"; }
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  struct Saved {
    Shape input;
    DType dtype;
    Layout layout;
  };
  SavedBase* own_saved() override { return &saved_; }

  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
