// What the named networks are made of: a linear map, its normalization and its activation.
#pragma once

#include <optional>

#include <evenkeel/model/activation_kinds.h>
#include <evenkeel/model/network.h>
#include <evenkeel/model/norm_kinds.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::model {

/// Appends blocks as the options say:
///
///     placement before   map without bias, norm, activation
///     placement after    map with bias, activation, norm
///     otherwise          map with bias, activation
///
/// β takes the place of the bias where the normalization follows the map directly.
class Blocks {
 public:
  explicit Blocks(const NetworkOptions& options);

  /// Of [N, C, H, W] where `spatial`, else of [N, C]. There must be a norm.
  void add_norm(nn::Sequential& net, std::int64_t features, bool spatial) const;
  /// The normalization of the network's input, where that is the only one.
  void add_input_norm1d(nn::Sequential& net, std::int64_t features) const;
  void add_input_norm2d(nn::Sequential& net, std::int64_t channels) const;

  /// The activation is the options' where that is relu.
  void add_linear(nn::Sequential& net, std::int64_t in, std::int64_t out,
                  ops::ActivationKind activation) const;
  /// A convolution with ReLU, or the options' activation; so below.
  void add_conv(nn::Sequential& net, std::int64_t in, std::int64_t out, std::int64_t kernel,
                std::int64_t stride = 1, std::int64_t groups = 1) const;
  /// The other order, of networks whose blocks begin with the normalization: norm, ReLU (or, placed
  /// after: ReLU, norm). The convolution that follows is add_plain_conv().
  void add_preactivation(nn::Sequential& net, std::int64_t channels) const;
  void add_plain_conv(nn::Sequential& net, std::int64_t in, std::int64_t out, std::int64_t kernel,
                      std::int64_t stride = 1) const;
  /// A convolution whose activation comes after the sum of a residual block: end_residual() appends
  /// what follows that.
  void add_last_conv(nn::Sequential& net, std::int64_t in, std::int64_t out, std::int64_t kernel,
                     std::int64_t stride = 1) const;
  void end_residual(nn::Sequential& net, std::int64_t channels) const;
  /// In place of ReLU.
  const ActivationChoice& activation() const { return activation_; }
  /// Dropout, unless it is 0.
  void add_dropout(nn::Sequential& net) const;

 private:
  bool before() const { return placed(Placement::before); }
  bool after() const { return placed(Placement::after); }
  bool at_input() const { return placed(Placement::input); }
  bool placed(Placement placement) const {
    return !norm_.none() && options_.placement == placement;
  }
  nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                  std::int64_t groups, bool bias) const;

  const NetworkOptions& options_;
  NormChoice norm_;
  ActivationChoice activation_;
};

}  // namespace evenkeel::model
