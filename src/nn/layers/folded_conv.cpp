#include <utility>

#include "nn/layers/checks.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/folded_conv.h>

namespace evenkeel::nn {

FoldedConv::FoldedConv(std::shared_ptr<const ops::FrozenConv> conv) : conv_(std::move(conv)) {
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
  std::string note = "batch norm folded in";
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
        "[{}] its batch norm is folded in; call eval(), or train the network as it was "
        "before fold()",
        label());
  }
  if (x.dtype() != conv_->weight().dtype()) {
    fail<ShapeError>("[{}] expected {}, got {}", label(), name_of(conv_->weight().dtype()),
                     name_of(x.dtype()));
  }
  const Shape shape = output_shape(x.shape());
  constexpr Layout kLayout = Layout::channels_last;
  Tensor y = Tensor::empty(shape, x.dtype(), kLayout);
  conv_->forward(x.to(kLayout), addend.defined() ? addend.to(kLayout) : addend, y);
  return y;
}

Tensor FoldedConv::backward(const Tensor& /*dy*/) {
  fail<StateError>(
      "[{}] its batch norm is folded in and its weight fixed; take gradients before "
      "fold()",
      label());
}

void FoldedConv::set_activation(const ops::ConvActivation& activation) {
  conv_ = std::make_shared<const ops::FrozenConv>(conv_->weight(), conv_->bias(), conv_->options(),
                                                  activation);
}

}  // namespace evenkeel::nn
