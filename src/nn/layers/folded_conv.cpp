#include <cstring>
#include <utility>
#include <vector>

#include "nn/layers/checks.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/core/stored.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/folded_conv.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {

FoldedConv::FoldedConv(std::shared_ptr<const ops::FrozenConv> conv, Norm norm)
    : conv_(std::move(conv)), norm_(norm) {
  if (!conv_) fail<UsageError>("[FoldedConv] expected a convolution, got a null pointer");
}

Options FoldedConv::options() const {
  const Shape& weight = conv_->weight().shape();
  const ops::ConvOptions& geometry = conv_->options();
  Options result{{"in_channels", weight[1] * geometry.groups},
                 {"out_channels", weight[0]},
                 {"kernel_size", weight[2]}};
  result.set("groups", geometry.groups);
  return result;
}

std::string FoldedConv::fusion_note() const {
  std::string note = norm_.folded ? "batch norm folded in" : "fixed weight";
  if (joined_) note += ", + shortcut";
  if (const auto& activation = conv_->activation()) {
    note += ", ";
    note += name_of(activation->kind);
  }
  return note;
}

Shape FoldedConv::output_shape(const Shape& input) const {
  return ops::conv_output_shape(input, conv_->weight().shape(), conv_->options());
}

Tensor FoldedConv::forward(const Tensor& x) {
  const Tensor addend = std::exchange(addend_, {});
  if (training_) {
    fail<StateError>(
        "[{}] its weight is fixed by fold(); call eval(), or train the network as it was "
        "before fold()",
        label());
  }
  if (parameter_dtype(x.dtype()) != conv_->weight().dtype()) {
    fail<ShapeError>("[{}] expected {}, got {}", label(), name_of(conv_->weight().dtype()),
                     name_of(x.dtype()));
  }
  const Shape shape = output_shape(x.shape());
  constexpr Layout kLayout = Layout::channels_last;
  Tensor y = Tensor::empty(shape, x.dtype(), kLayout);
  const Tensor added = addend.defined() ? addend.to(kLayout) : addend;
  if (norm_.sequences && lengths().given() && shape.rank() == 3) {
    forward_padded(x.to(kLayout), added, y);
  } else {
    conv_->forward(x.to(kLayout), added, y);
  }
  return y;
}

/// The same, but zero in place of the convolution's results beyond the lengths.
void FoldedConv::forward_padded(const Tensor& x, const Tensor& addend, Tensor& y) const {
  const std::vector<std::int64_t> valid = valid_steps(*this, y.shape());
  ops::conv_forward(x, conv_->weight(), conv_->bias(), conv_->options(), y);
  const std::int64_t steps = y.dim(2);
  for (std::int64_t n = 0; n < y.dim(0); ++n) {
    const std::int64_t from = valid[static_cast<std::size_t>(n)];
    Tensor sample = y.slice(n, n + 1);
    const std::size_t step = sample.bytes() / static_cast<std::size_t>(steps);
    std::memset(static_cast<std::byte*>(sample.raw()) + static_cast<std::size_t>(from) * step, 0,
                static_cast<std::size_t>(steps - from) * step);
  }
  if (addend.defined()) ops::accumulate(addend, y);
  if (const auto& activation = conv_->activation()) {
    ops::activation_forward(activation->kind, y, y, activation->slope);
  }
}

Tensor FoldedConv::backward(const Tensor& /*dy*/) {
  fail<StateError>(
      "[{}] its weight is fixed by fold(); take gradients before "
      "fold()",
      label());
}

void FoldedConv::set_activation(const ops::ConvActivation& activation) {
  conv_ = std::make_shared<const ops::FrozenConv>(conv_->weight(), conv_->bias(), conv_->options(),
                                                  activation);
}

}  // namespace evenkeel::nn
