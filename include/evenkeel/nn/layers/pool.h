// Pooling layers over one and two spatial dimensions, and over all positions.
#pragma once

#include <cstdint>

#include <evenkeel/nn/layers/pair.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/ops/pool.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them. So for the other options here.
struct MaxPool1dOptions {
  std::int64_t stride = 0;   ///< 0: as the kernel
  std::int64_t padding = 0;  ///< on both sides, at most half the kernel; never the maximum
};
struct MaxPool2dOptions {
  Pair stride = 0;
  Pair padding = 0;
};
struct AvgPool1dOptions {
  std::int64_t stride = 0;
  std::int64_t padding = 0;       ///< zeros on both sides, at most half the kernel
  bool count_include_pad = true;  ///< whether the padding counts in the divisor
};
struct AvgPool2dOptions {
  Pair stride = 0;
  Pair padding = 0;
  bool count_include_pad = true;
};

/// What the pools over windows share. x [N, C, spatial...] f32, f64 or bf16 in either layout → y
/// [N, C, spatial...] in x's layout; each extent becomes (I + 2·padding − K) / stride + 1, rounded
/// down.
class Pool : public Module {
 public:
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

  const ops::PoolOptions& geometry() const { return geometry_; }

 protected:
  /// Throws UsageError for values out of range.
  Pool(std::string_view type, ops::PoolKind kind, int spatial_rank, Pair kernel, Pair stride,
       Pair padding, bool count_include_pad);

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

class MaxPool1d : public Cloneable<MaxPool1d, Pool> {
 public:
  explicit MaxPool1d(std::int64_t kernel_size, MaxPool1dOptions options = {});
  std::string_view type() const override { return "MaxPool1d"; }
};

class MaxPool2d : public Cloneable<MaxPool2d, Pool> {
 public:
  explicit MaxPool2d(Pair kernel_size, MaxPool2dOptions options = {});
  std::string_view type() const override { return "MaxPool2d"; }
};

class AvgPool1d : public Cloneable<AvgPool1d, Pool> {
 public:
  explicit AvgPool1d(std::int64_t kernel_size, AvgPool1dOptions options = {});
  std::string_view type() const override { return "AvgPool1d"; }
};

class AvgPool2d : public Cloneable<AvgPool2d, Pool> {
 public:
  explicit AvgPool2d(Pair kernel_size, AvgPool2dOptions options = {});
  std::string_view type() const override { return "AvgPool2d"; }
};

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
