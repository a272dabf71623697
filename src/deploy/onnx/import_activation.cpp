// Activations and dropout.

#include <cmath>
#include <limits>

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/clip.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/gelu.h>
#include <evenkeel/nn/layers/pointwise.h>
#include <evenkeel/nn/layers/softmax.h>

namespace evenkeel::deploy {
namespace {

double number(const Importer& importer, std::size_t index, std::string_view what) {
  const Tensor tensor = importer.constant(index, what);
  if (tensor.numel() != 1) importer.refuse("its {} is no single number", what);
  return tensor.to(DType::f64).item();
}

}  // namespace

void build_relu(Importer& importer) {
  importer.set_output(0, importer.apply(nn::ReLU(), importer.input(0)));
}

void build_sigmoid(Importer& importer) {
  importer.set_output(0, importer.apply(nn::Sigmoid(), importer.input(0)));
}

void build_tanh(Importer& importer) {
  importer.set_output(0, importer.apply(nn::Tanh(), importer.input(0)));
}

void build_leaky_relu(Importer& importer) {
  const double slope = importer.attribute("alpha", 0.01);
  if (slope == 0) {
    build_relu(importer);
  } else {
    importer.set_output(0, importer.apply(nn::LeakyReLU(slope), importer.input(0)));
  }
}

void build_gelu(Importer& importer) {
  if (importer.opset() < 20) importer.refuse("operator sets before 20 do not have it");
  if (importer.attribute("approximate", std::string("none")) != "none") {
    importer.refuse("approximations are not supported");
  }
  importer.set_output(0, importer.apply(nn::GELU(), importer.input(0)));
}

void build_erf(Importer& importer) {
  importer.set_output(0, importer.apply(nn::Erf(), importer.input(0)));
}

void build_sqrt(Importer& importer) {
  importer.set_output(0, importer.apply(nn::Power(0.5), importer.input(0)));
}

void build_reciprocal(Importer& importer) {
  importer.set_output(0, importer.apply(nn::Power(-1), importer.input(0)));
}

void build_pow(Importer& importer) {
  importer.set_output(
      0, importer.apply(nn::Power(number(importer, 1, "exponent")), importer.input(0)));
}

void build_clip(Importer& importer) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr auto kLargest = static_cast<double>(std::numeric_limits<float>::max());
  nn::ClipOptions options;
  if (importer.opset() < 11) {
    options.min = importer.attribute("min", -kInfinity);
    options.max = importer.attribute("max", kInfinity);
  } else {
    if (importer.has(1)) options.min = number(importer, 1, "min");
    if (importer.has(2)) options.max = number(importer, 2, "max");
  }
  // The old defaults, which mean none.
  if (options.min <= -kLargest) options.min = -kInfinity;
  if (options.max >= kLargest) options.max = kInfinity;
  importer.set_output(0, importer.apply(nn::Clip(options), importer.input(0)));
}

/// Up to set 12 all dimensions from the axis on are one.
void build_softmax(Importer& importer) {
  const Value& x = importer.input(0);
  const bool to_end = importer.opset() < 13;
  const std::int64_t axis = importer.dimension(
      importer.attribute("axis", std::int64_t{to_end ? 1 : -1}), x.shapes[0].rank());
  const bool last = axis + 1 == x.shapes[0].rank();
  importer.set_output(0, importer.apply(nn::Softmax(axis, to_end && !last), x));
}

void build_dropout(Importer& importer) {
  double p = 0.5;
  if (importer.opset() < 12) {
    p = importer.attribute("ratio", p);
  } else if (importer.has(1)) {
    p = number(importer, 1, "ratio");
  }
  if (importer.output_used(1)) importer.refuse("its mask, the second output, is not supported");
  if (!(p >= 0 && p < 1)) importer.refuse("its ratio is {}, expected 0 or more and less than 1", p);
  p = std::round(p * 1e6) / 1e6;  // stored as f32
  importer.set_output(0, importer.apply(nn::Dropout(p), importer.input(0)));
}

}  // namespace evenkeel::deploy
