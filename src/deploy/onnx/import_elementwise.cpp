// Sums and products, of two values or of a value and a constant.

#include <algorithm>

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layers/elementwise.h>
#include <evenkeel/nn/layers/pointwise.h>

namespace evenkeel::deploy {
namespace {

/// The constant without leading extents of 1, as f64.
Tensor aligned(const Importer& importer, std::size_t index) {
  const Tensor given = importer.constant(index, "operand");
  if (given.dtype() != DType::f32 && given.dtype() != DType::f64) {
    importer.refuse("its operand has no real elements");
  }
  Shape shape = given.shape();
  while (shape.rank() > 0 && shape[0] == 1) shape = shape.drop(1);
  return given.reshape(shape).to(DType::f64);
}

/// x with f applied to each element.
template <class F>
Tensor mapped(const Tensor& x, F&& f) {
  Tensor result = x.clone();
  for (double& value : result.span<double>()) value = f(value);
  return result;
}

template <class Layer>
Value with_constant(Importer& importer, const Value& x, const Tensor& weight, bool learned,
                    std::string_view suffix = "") {
  for (const Shape& shape : x.shapes) {
    if (broadcast_shape(importer, shape, weight.shape()) != shape) {
      importer.refuse("a constant of shape {} would enlarge {}, which is not supported",
                      weight.shape().str(), shape.str());
    }
  }
  auto layer = std::make_unique<Layer>(weight.shape(), nn::ElementwiseOptions{.learned = learned});
  layer->to(importer.dtype());
  layer->load_state_dict({{"weight", weight}});
  return importer.apply(std::move(layer), x, suffix);
}

/// A factor for a whole tensor, such as -1.
Value times(Importer& importer, const Value& x, double factor, std::string_view suffix) {
  return with_constant<nn::Scale>(importer, x, Tensor::full({}, factor, DType::f64), false, suffix);
}

struct Operands {
  std::size_t value;     ///< the input that is no constant
  std::size_t constant;  ///< the other one
};
/// Empty where both are computed.
std::optional<Operands> operands_of(const Importer& importer) {
  if (importer.input(0).is_constant()) return Operands{1, 0};
  if (importer.input(1).is_constant()) return Operands{0, 1};
  return std::nullopt;
}

}  // namespace

void build_add(Importer& importer) {
  if (const auto which = operands_of(importer)) {
    importer.set_output(0, with_constant<nn::Shift>(importer, importer.input(which->value),
                                                    aligned(importer, which->constant),
                                                    importer.input(which->constant).learned));
    return;
  }
  build_sum(importer);
}

void build_sum(Importer& importer) {
  std::vector<Value> values;
  for (std::size_t i = 0; i < importer.input_count(); ++i) {
    if (!importer.input(i).is_constant()) values.push_back(importer.input(i));
  }
  Value sum = values.size() == 1 ? values[0] : importer.join(Importer::Join::sum, values);
  for (std::size_t i = 0; i < importer.input_count(); ++i) {
    if (!importer.input(i).is_constant()) continue;
    sum = with_constant<nn::Shift>(importer, sum, aligned(importer, i), importer.input(i).learned);
  }
  importer.set_output(0, std::move(sum));
}

void build_sub(Importer& importer) {
  const auto which = operands_of(importer);
  if (!which) {
    const Value negative = times(importer, importer.input(1), -1, "negative");
    importer.set_output(0, importer.join(Importer::Join::sum, {importer.input(0), negative}));
    return;
  }
  const Tensor constant = aligned(importer, which->constant);
  Value x = importer.input(which->value);
  if (which->constant == 1) {
    const Tensor negative = mapped(constant, [](double v) { return -v; });
    importer.set_output(0, with_constant<nn::Shift>(importer, x, negative, false));
    return;
  }
  x = times(importer, x, -1, "negative");
  importer.set_output(0,
                      with_constant<nn::Shift>(importer, x, constant, importer.input(0).learned));
}

void build_mul(Importer& importer) {
  if (const auto which = operands_of(importer)) {
    importer.set_output(0, with_constant<nn::Scale>(importer, importer.input(which->value),
                                                    aligned(importer, which->constant),
                                                    importer.input(which->constant).learned));
    return;
  }
  importer.set_output(
      0, importer.join(Importer::Join::product, {importer.input(0), importer.input(1)}));
}

void build_neg(Importer& importer) {
  importer.set_output(0, times(importer, importer.input(0), -1, ""));
}

void build_div(Importer& importer) {
  const auto which = operands_of(importer);
  if (which && which->constant == 0) {
    const Value inverse = importer.apply(nn::Power(-1), importer.input(1), "inverse");
    importer.set_output(0,
                        with_constant<nn::Scale>(importer, inverse, aligned(importer, 0), false));
    return;
  }
  if (!which) {
    const Value inverse = importer.apply(nn::Power(-1), importer.input(1), "inverse");
    importer.set_output(0, importer.join(Importer::Join::product, {importer.input(0), inverse}));
    return;
  }
  const Tensor inverse = mapped(aligned(importer, 1), [](double v) { return 1 / v; });
  importer.set_output(0, with_constant<nn::Scale>(importer, importer.input(0), inverse, false));
}

}  // namespace evenkeel::deploy
