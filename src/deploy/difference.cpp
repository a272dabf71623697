#include <algorithm>
#include <cmath>
#include <limits>

#include <evenkeel/core/error.h>
#include <evenkeel/core/random.h>
#include <evenkeel/deploy/difference.h>
#include <evenkeel/nn/fusion.h>

namespace evenkeel::deploy {
namespace {

DType dtype_of(nn::Module& network) {
  const auto parameters = network.parameters();
  return parameters.empty() ? DType::f32 : parameters.front().parameter->value.dtype();
}

}  // namespace

OutputDifference::OutputDifference(const nn::Module& reference) : reference_(reference.clone()) {
  nn::unfuse(*reference_);
  reference_->to(DType::f64);
  reference_->eval();
}

void OutputDifference::add(nn::Module& network, const Tensor& x, const nn::Lengths& lengths) {
  const nn::LengthsScope here(*reference_, lengths), there(network, lengths);
  const Tensor wanted = reference_->forward(x.to(DType::f64)).to(Layout::channels_first);
  const Tensor got =
      network.forward(x.to(dtype_of(network))).to(DType::f64).to(Layout::channels_first);
  if (got.shape() != wanted.shape()) {
    fail<ShapeError>("[difference] the networks give {} and {} for {}", wanted.shape().str(),
                     got.shape().str(), x.shape().str());
  }
  const double* const a = wanted.data<double>();
  const double* const b = got.data<double>();
  for (std::int64_t i = 0; i < wanted.numel(); ++i) {
    // An infinity on both sides is no difference.
    const double difference = a[i] == b[i] ? 0.0 : std::abs(a[i] - b[i]);
    if (std::isnan(difference) || std::isnan(largest_)) {
      largest_ = std::numeric_limits<double>::quiet_NaN();
    } else {
      largest_ = std::max(largest_, difference);
    }
    sum_ += difference;
    if (std::isfinite(a[i])) size_ = std::max(size_, std::abs(a[i]));
  }
  values_ += wanted.numel();
  samples_ += x.dim(0);
}

void OutputDifference::add_random(nn::Module& network, const Shape& sample, std::int64_t batch,
                                  int batches, Layout layout, std::uint64_t seed) {
  std::vector<std::int64_t> dims{batch};
  dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
  Random random(seed, 17);
  for (int i = 0; i < batches; ++i) {
    Tensor x = Tensor::empty(Shape(std::span<const std::int64_t>(dims)), DType::f32);
    for (float& value : x.span<float>()) value = static_cast<float>(random.normal());
    add(network, x.to(layout));
  }
}

double OutputDifference::largest() const { return size_ > 0 ? largest_ / size_ : largest_; }

double OutputDifference::mean() const {
  const double mean = values_ > 0 ? sum_ / static_cast<double>(values_) : 0.0;
  return size_ > 0 ? mean / size_ : mean;
}

}  // namespace evenkeel::deploy
