// Looking at what goes through a module inside a network.
#pragma once

#include <functional>

#include <evenkeel/core/tensor.h>

namespace evenkeel::nn {

/// What is told of a module that a container runs (Module::set_watch); either may be empty.
///
/// Both are called before anybody may write over the tensor. A copy of its handle keeps it as it is
/// (the next layer then takes memory of its own), and results stay the same bits. What they throw
/// ends the pass as a layer's error does.
///
/// Of fused layers (nn::fuse): a batch norm gives what is behind its activation, and at the end of
/// the body of a Residual what is behind the sum, and is handed the gradient of that. The absorbed
/// activation hands through what it gets, so that its own watch sees what it would see unfused.
struct Watch {
  /// y, as soon as the module has computed it.
  std::function<void(const Tensor& y)> forward;
  /// The gradient of y, before the module takes it. Not called where nobody needs a gradient.
  std::function<void(const Tensor& dy)> backward;
};

}  // namespace evenkeel::nn
