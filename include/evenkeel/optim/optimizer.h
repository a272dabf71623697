// The base of optimizers: groups of parameters, named state, one step.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/optim/groups.h>

namespace evenkeel::optim {

/// Updates parameters from their gradients, which it leaves as they are. Parameters are f32 or f64;
/// frozen ones (trainable = false) and their state are left alone. The state is one tensor like the
/// parameter for each of the optimizer's slots, zero at first, plus counts of updates.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// The name in the table of optimizers, e.g. "sgd".
  virtual std::string_view type() const = 0;

  /// One update of every trainable parameter with the rate lr · lr_scale. Throws UsageError for a
  /// rate that is negative or not finite, StateError where a parameter has changed its shape or
  /// dtype since the optimizer was made; nothing is changed then.
  void step(double lr);
  /// How many steps were taken.
  std::int64_t steps() const;

  /// "step" (i64 [1]), "updates" (i64, one per parameter), and "<slot>.<parameter>" in the order of
  /// the groups, e.g. "momentum.3.weight". The tensors share memory with the optimizer.
  nn::StateDict state_dict() const;
  /// Copies the state in: the steps that follow have the same bits as if they followed the step at
  /// which the state was taken. Throws Error naming the first missing, surplus or misshapen tensor,
  /// before anything is changed.
  void load_state_dict(const nn::StateDict& state);

  const std::vector<ParameterGroup>& groups() const { return groups_; }

 protected:
  /// What the update of one parameter needs beside its values.
  struct Update {
    double lr = 0;  ///< with the group's factor
    double weight_decay = 0;
    std::int64_t count = 1;   ///< of this parameter's updates, this one included
    std::span<Tensor> state;  ///< one per slot
  };

  /// Throws UsageError where a parameter or a name occurs twice, ShapeError for other dtypes.
  Optimizer(std::vector<ParameterGroup> groups, std::vector<std::string> slots);

  /// Overwrites the value and the state from value, grad and state.
  virtual void update(nn::Parameter& parameter, const Update& update) = 0;

 private:
  struct Entry {
    nn::NamedParameter named;
    std::size_t group;
    std::vector<Tensor> state;
  };

  std::vector<ParameterGroup> groups_;
  std::vector<std::string> slots_;
  std::vector<Entry> entries_;
  Tensor step_, updates_;
};

}  // namespace evenkeel::optim
