// How values go through a network: its layers and joins in order, whatever the nesting of
// containers.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <evenkeel/nn/layers/container.h>

namespace evenkeel::nn {

/// One value of a network and what computes it.
struct FlowStep {
  enum class Kind : std::uint8_t {
    input,    ///< of the network
    layer,    ///< a module that is no container, or a container that cannot be looked into
    sum,      ///< of branches, with the activation of a Residual in it where it has one
    concat,   ///< side by side over the channels
    product,  ///< of two values, element by element or as matrices
  };
  Kind kind = Kind::input;
  Module* module = nullptr;    ///< of a layer; of a sum or concat the container, if it is its own
  Container* owner = nullptr;  ///< of a layer: whose child it is; null for the network itself
  std::size_t place = 0;       ///< of a layer: which child
  std::vector<std::size_t> inputs{};  ///< steps
  std::vector<std::size_t> users{};   ///< steps that read this one, once for each time they do
};

/// The steps of a network, each after its inputs; the first is the network's input. Nodes of a
/// Graph on which its output does not depend are left out. Valid until the network's layers change
/// in another way than by replace().
class Flow {
 public:
  explicit Flow(Module& network);

  const std::vector<FlowStep>& steps() const { return steps_; }
  const FlowStep& operator[](std::size_t i) const { return steps_[i]; }
  std::size_t size() const { return steps_.size(); }
  /// The step whose value the network returns.
  std::size_t output() const { return output_; }

  /// Puts another layer in place of that of step i, which has an owner, in the network as well.
  void replace(std::size_t i, std::unique_ptr<Module> layer);

 private:
  std::size_t add(FlowStep step);
  std::size_t enter(Module& module, Container* owner, std::size_t place, std::size_t input);

  std::vector<FlowStep> steps_;
  std::size_t output_ = 0;
};

}  // namespace evenkeel::nn
