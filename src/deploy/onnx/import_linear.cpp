// Matrix products.

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layers/elementwise.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/permute.h>

namespace evenkeel::deploy {
namespace {

/// A matrix [rows, columns], transposed where asked, times `factor`: rounded once.
Tensor matrix(const Tensor& given, bool transposed, double factor) {
  if (!transposed && factor == 1) return given;
  const Tensor wide = given.to(DType::f64);
  const std::int64_t rows = given.dim(transposed ? 1 : 0), columns = given.dim(transposed ? 0 : 1);
  Tensor result = Tensor::empty({rows, columns}, DType::f64);
  const double* const from = std::as_const(wide).data<double>();
  double* const to = result.data<double>();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      to[r * columns + c] = factor * from[transposed ? c * rows + r : r * columns + c];
    }
  }
  return result.to(given.dtype());
}

Tensor scaled(const Tensor& given, double factor) {
  if (factor == 1) return given;
  Tensor result = given.to(DType::f64).clone();
  for (double& value : result.span<double>()) value *= factor;
  return result.to(given.dtype());
}

Tensor real_matrix(const Importer& importer, std::size_t index) {
  const Tensor given = importer.constant(index, "weight");
  const bool real = given.dtype() == DType::f32 || given.dtype() == DType::f64;
  if (!real || given.rank() != 2 || given.numel() == 0) {
    importer.refuse("a weight {} of shape {} is not supported; expected a matrix",
                    name_of(given.dtype()), given.shape().str());
  }
  return given;
}

/// weight: [out, in].
std::unique_ptr<nn::Module> linear(const Importer& importer, const Tensor& weight,
                                   const Tensor& bias) {
  auto layer = std::make_unique<nn::Linear>(weight.dim(1), weight.dim(0),
                                            nn::LinearOptions{.bias = bias.defined()});
  layer->to(importer.dtype());
  nn::StateDict state{{"weight", weight}};
  if (bias.defined()) state.emplace_back("bias", bias);
  layer->load_state_dict(state);
  return layer;
}

}  // namespace

void build_gemm(Importer& importer) {
  Value x = importer.input(0);
  if (x.shapes[0].rank() != 2) {
    importer.refuse("its input has shape {}, expected a matrix", x.shapes[0].str());
  }
  if (importer.attribute("transA", std::int64_t{0}) != 0) {
    x = importer.apply(nn::Permute({1, 0}), x, "transposed");
  }
  const bool transposed = importer.attribute("transB", std::int64_t{0}) != 0;
  const Tensor weight =
      matrix(real_matrix(importer, 1), !transposed, importer.attribute("alpha", 1.0));
  const std::int64_t outputs = weight.dim(0);
  Tensor bias, rest;
  if (importer.has(2)) {
    const Tensor given = scaled(importer.constant(2, "bias"), importer.attribute("beta", 1.0));
    const bool row =
        given.numel() == outputs && (given.rank() == 1 || (given.rank() == 2 && given.dim(0) == 1));
    if (row) {
      bias = given.reshape({outputs});
    } else if (given.numel() == 1) {
      bias = Tensor::full({outputs}, given.to(DType::f64).item(), given.dtype());
    } else {
      rest = given;
    }
  }
  Value y = importer.apply(linear(importer, weight, bias), x);
  if (rest.defined()) {
    auto shift = std::make_unique<nn::Shift>(rest.shape());
    shift->to(importer.dtype());
    shift->load_state_dict({{"weight", rest}});
    y = importer.apply(std::move(shift), y, "bias");
  }
  importer.set_output(0, std::move(y));
}

/// A linear layer over the last dimension; the others are a batch to it.
void build_matmul(Importer& importer) {
  const Value x = importer.input(0);
  if (x.is_constant()) importer.refuse("products with a constant on the left are not supported");
  if (!importer.input(1).is_constant()) {
    importer.set_output(0, importer.join(Importer::Join::matmul, {x, importer.input(1)}));
    return;
  }
  const Tensor weight = matrix(real_matrix(importer, 1), true, 1);
  const std::int64_t in = weight.dim(1), out = weight.dim(0);
  for (const Shape& shape : x.shapes) {
    if (shape.rank() < 2 || shape[-1] != in) {
      importer.refuse("an input of shape {} does not fit a weight [{}, {}]", shape.str(), in, out);
    }
  }
  const Shapes rows = Importer::shapes_of([&](std::size_t i) {
    return Shape{x.shapes[i].numel() / in, in};
  });
  const Value flat = importer.reshaped(x, rows);
  const Value y = importer.apply(linear(importer, weight, Tensor()), flat);
  importer.set_output(0, importer.reshaped(y, Importer::shapes_of([&](std::size_t i) {
                                             return x.shapes[i].with(x.shapes[i].rank() - 1, out);
                                           })));
}

}  // namespace evenkeel::deploy
