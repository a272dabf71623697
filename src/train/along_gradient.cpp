#include <cmath>

#include "train/kept_buffers.h"
#include <evenkeel/core/stored.h>
#include <evenkeel/train/along_gradient.h>

namespace evenkeel::train {
namespace {

/// A vector of all trainable parameters.
using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double distance(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

/// The loss of one batch as a function of the weights.
class Landscape {
 public:
  Landscape(nn::Module& network, const Tensor& x, std::span<const std::int32_t> labels,
            const nn::CrossEntropy& loss)
      : network_(network), x_(x), labels_(labels), loss_(loss), buffers_(network) {
    network.train();
    network.set_needs_input_gradient(false);
    for (const auto& [name, parameter] : network.parameters()) {
      if (parameter->trainable) parameters_.push_back(parameter);
    }
    buffers_.remember();
  }

  Vector weights() const { return gathered(&nn::Parameter::value); }

  void move_to(const Vector& weights) {
    std::size_t i = 0;
    for (nn::Parameter* const parameter : parameters_) {
      with_dtype(parameter->value.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (T& value : parameter->value.span<T>()) value = stored<T>(weights[i++]);
      });
    }
  }

  /// The loss and its gradient where the weights are. Random draws are the same at every point.
  double measure(Vector& gradient) {
    buffers_.restore();
    network_.zero_grad();
    const nn::LossResult result = loss_(network_.forward(x_), labels_);
    network_.backward(result.gradient);
    gradient = gathered(&nn::Parameter::grad);
    return result.value;
  }

 private:
  Vector gathered(Tensor nn::Parameter::*member) const {
    Vector all;
    for (const nn::Parameter* const parameter : parameters_) {
      const Tensor wide = (parameter->*member).to(DType::f64);
      const auto values = wide.span<double>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

  nn::Module& network_;
  const Tensor& x_;
  std::span<const std::int32_t> labels_;
  const nn::CrossEntropy& loss_;
  KeptBuffers buffers_;
  std::vector<nn::Parameter*> parameters_;
};

}  // namespace

std::vector<StepPoint> along_gradient(const nn::Module& network, const Tensor& x,
                                      std::span<const std::int32_t> labels,
                                      std::span<const double> steps, const nn::CrossEntropy& loss) {
  const std::unique_ptr<nn::Module> copy = network.clone();
  Landscape landscape(*copy, x, labels, loss);
  const Vector start = landscape.weights();
  Vector g;
  landscape.measure(g);
  const double length = std::sqrt(dot(g, g));
  std::vector<StepPoint> points;
  Vector weights(start.size()), gradient;
  for (const double step : steps) {
    for (std::size_t i = 0; i < start.size(); ++i) weights[i] = start[i] - step * g[i];
    landscape.move_to(weights);
    StepPoint point{.step = step};
    point.loss = landscape.measure(gradient);
    point.gradient_distance = distance(gradient, g);
    point.cosine = dot(gradient, g) / (std::sqrt(dot(gradient, gradient)) * length);
    point.moved = std::abs(step) * length;
    points.push_back(point);
  }
  return points;
}

}  // namespace evenkeel::train
