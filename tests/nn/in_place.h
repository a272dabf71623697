// Batch norm in place beside an ordinary layer, for tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "nn/tensors.h"
#include <evenkeel/nn/nn.h>

namespace evenkeel::testing {

inline constexpr double kSlope = 0.1;

/// The bits of one channel of [N, C, …].
inline Tensor channel_of(const Tensor& x, std::int64_t c) {
  const Tensor first = x.to(Layout::channels_first);
  const std::int64_t n = x.dim(0), channels = x.dim(1), s = x.numel() / (n * channels);
  Tensor result = Tensor::empty({n, s}, x.dtype());
  const std::size_t bytes = static_cast<std::size_t>(s) * size_of(x.dtype());
  for (std::int64_t i = 0; i < n; ++i) {
    std::memcpy(static_cast<std::byte*>(result.raw()) + static_cast<std::size_t>(i) * bytes,
                static_cast<const std::byte*>(first.raw()) +
                    static_cast<std::size_t>(i * channels + c) * bytes,
                bytes);
  }
  return result;
}

inline double largest(const Tensor& x) {
  return max_difference(x, Tensor::zeros(x.shape(), x.dtype()));
}

struct Form {
  Shape shape{6, 5, 7, 3};
  DType dtype = DType::f32;
  Layout layout = Layout::channels_first;
  norm::Activation activation = norm::Activation::leaky_relu;
  nn::BatchNormOptions options = {};
  bool eval = false;
};

inline std::vector<Form> forms() {
  std::vector<Form> result;
  const std::vector<nn::BatchNormOptions> variants{{},
                                                   {.eps = 1e-3, .momentum = std::nullopt},
                                                   {.affine = false},
                                                   {.track_running_stats = false},
                                                   {.unbiased = false, .ghost_size = 2},
                                                   {.freeze = nn::Freeze::statistics},
                                                   {.freeze = nn::Freeze::affine}};
  for (const Shape& shape : {Shape{6, 5, 7, 3}, Shape{33, 17, 1, 1}, Shape{4, 70, 9, 5}}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
        for (const auto activation : {norm::Activation::none, norm::Activation::leaky_relu}) {
          for (const nn::BatchNormOptions& options : variants) {
            result.push_back({shape, dtype, layout, activation, options, false});
          }
          result.push_back({shape, dtype, layout, activation, {}, true});
        }
      }
    }
  }
  return result;
}

/// An ordinary layer and one in place, of equal state.
struct Twins {
  explicit Twins(const Form& wanted = {})
      : form(wanted),
        plain(form.shape[1], form.options),
        over(form.shape[1], in_place(form.options)) {
    for (nn::BatchNorm2d* layer : {&plain, &over}) {
      if (form.options.affine) {
        const std::int64_t c = form.shape[1];
        for (std::int64_t i = 0; i < c; ++i) {
          // |γ| from 0.2 to 1.7, of either sign; |β| up to 1.5.
          const double t = static_cast<double>(i) / static_cast<double>(c);
          gamma(*layer)[i] = static_cast<float>((i % 3 == 1 ? -1 : 1) * (0.2 + 1.5 * t));
          beta(*layer)[i] = static_cast<float>(3 * std::fmod(t * 7.3, 1.0) - 1.5);
        }
      }
      layer->to(form.dtype);
      layer->fuse_activation(form.activation, kSlope);
      layer->eval();
      layer->keep_for_backward();
      layer->train(!form.eval);
    }
  }

  static nn::BatchNormOptions in_place(nn::BatchNormOptions options) {
    options.in_place = true;
    return options;
  }
  static float* gamma(nn::Module& layer) {
    return layer.parameters()[0].parameter->value.data<float>();
  }
  static float* beta(nn::Module& layer) {
    return layer.parameters()[1].parameter->value.data<float>();
  }
  Tensor input(std::uint64_t seed = 1) const {
    return random_tensor(form.shape, seed, form.dtype, form.layout);
  }
  const Tensor& gradient(nn::Module& layer, std::size_t i) const {
    return layer.parameters()[i].parameter->grad;
  }

  Form form;
  nn::BatchNorm2d plain, over;
};

/// What the document promises beside the ordinary layer's gradients, of their largest values.
inline double tolerance_of(DType dtype) { return dtype == DType::f64 ? 1e-14 : 1e-6; }

inline void expect_close(const Tensor& got, const Tensor& wanted, double scale,
                         const std::string& what) {
  EXPECT_LE(max_difference(got, wanted), tolerance_of(got.dtype()) * std::max(scale, 1.0)) << what;
}

}  // namespace evenkeel::testing
