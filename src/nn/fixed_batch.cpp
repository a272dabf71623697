#include <cstring>

#include <evenkeel/core/error.h>
#include <evenkeel/nn/fixed_batch.h>

namespace evenkeel::nn {

Tensor forward_filled(Module& network, const Tensor& x, std::int64_t batch) {
  const std::int64_t count = x.dim(0);
  if (count == batch) return network.forward(x);
  if (count > batch) {
    fail<ShapeError>("[network] expected a batch of at most {}, got {}", batch, count);
  }
  // Samples lie behind one another in every layout.
  Tensor filled = Tensor::zeros(x.shape().with(0, batch), x.dtype(), x.layout());
  if (x.bytes() > 0) std::memcpy(filled.raw(), x.raw(), x.bytes());
  return network.forward(filled).slice(0, count);
}

}  // namespace evenkeel::nn
