// The base of layers and containers: registration of state, train and eval, forward and backward.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <evenkeel/core/options.h>
#include <evenkeel/core/random.h>
#include <evenkeel/core/tensor.h>
#include <evenkeel/nn/lengths.h>
#include <evenkeel/nn/watch.h>

namespace evenkeel::nn {

/// What a parameter is for; optimizers make groups from it (weight decay on γ and β or not).
enum class ParameterKind : std::uint8_t { weight, bias, norm_scale, norm_shift };

/// A learned tensor and its gradient. backward() accumulates into `grad`; zero_grad() clears it.
struct Parameter {
  Tensor value;
  Tensor grad;  ///< same shape and dtype as value
  ParameterKind kind = ParameterKind::weight;
  bool trainable = true;  ///< false: optimizers leave it alone
};

/// State that is kept but not learned, such as running statistics.
struct Buffer {
  Tensor value;
  /// False for state that a checkpoint needs but a PyTorch state dict does not have (random
  /// positions).
  bool exported = true;
};

struct NamedParameter {
  std::string name;  ///< PyTorch's dotted path, e.g. "3.weight"
  Parameter* parameter;
};
struct NamedBuffer {
  std::string name;
  Buffer* buffer;
};
/// Name → tensor in registration order of the network.
using StateDict = std::vector<std::pair<std::string, Tensor>>;

/// What a module saved for backward, of whatever type.
class SavedBase {
 public:
  virtual std::size_t size() const = 0;
  /// Forgets all but the `count` oldest.
  virtual void shrink(std::size_t count) = 0;

 protected:
  SavedBase() = default;
  SavedBase(const SavedBase&) = default;
  SavedBase(SavedBase&&) = default;
  SavedBase& operator=(const SavedBase&) = default;
  SavedBase& operator=(SavedBase&&) = default;
  ~SavedBase() = default;
};

/// A layer or container.
///
/// State is registered once, in the constructor, under PyTorch's names; copying, moving between
/// dtypes, saving, loading, counting and printing derive from that registration. A module owns what
/// its backward needs: forward pushes it, each backward pops, in reverse order. In eval mode
/// nothing is kept unless keep_for_backward(true) asks for it.
///
/// Inputs are f32 or f64 like the parameters, or bf16 beside f32 parameters: then so are outputs
/// and their gradients, while the gradients of parameters stay f32 (docs/numerics.md).
///
/// A call that throws leaves the module as it was: parameters, gradients, buffers, what is saved
/// for backward. A forward that throws in the middle of a network is undone in all of its layers.
/// One case is left: a backward that breaks off inside (for want of memory) has added to some
/// gradients; what is saved is then forgotten, and the step begins again with zero_grad() and
/// forward.
class Module {
 public:
  virtual ~Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;

  /// The name in the layer table, e.g. "BatchNorm2d".
  virtual std::string_view type() const = 0;
  /// The options from which the layer table builds an equal layer (without its state).
  virtual Options options() const { return {}; }
  /// A deep copy of state and mode; nothing saved for backward is copied.
  virtual std::unique_ptr<Module> clone() const = 0;
  /// The shape of forward's result. Throws ShapeError naming this layer where the input does not
  /// fit.
  virtual Shape output_shape(const Shape& input) const = 0;

  /// y for x. Keeps x's dtype and layout unless the layer says otherwise.
  virtual Tensor forward(const Tensor& x) = 0;
  /// forward for an x that the caller gives away (by std::move): where no other handle has its
  /// memory, y may be written over it. Copies of the handle make it a plain forward.
  virtual Tensor forward_in_place(Tensor x) { return forward(x); }
  /// dx for dy, for the latest forward not yet taken back; adds to the parameters' gradients.
  /// Throws StateError without such a forward, ShapeError for a dy that is not like its result.
  virtual Tensor backward(const Tensor& dy) = 0;
  /// backward for a dy that the caller gives away (by std::move): where no other handle has its
  /// memory, dx may be written over it. Copies of the handle make it a plain backward.
  virtual Tensor backward_in_place(Tensor dy) { return backward(dy); }
  /// Throws the StateError that backward would, without running it.
  virtual void expect_forward();
  /// Draws fresh initial parameters and resets the buffers of this module alone, not its children.
  virtual void reset_parameters(Random& random);
  /// What was fused into or out of this layer, for inspect; empty if nothing.
  virtual std::string fusion_note() const { return {}; }
  /// How the layer differs from one that simply trains or evaluates (virtual batches, frozen
  /// statistics), for inspect; empty if in nothing.
  virtual std::string mode_note() const { return {}; }

  /// Training mode for this module and its children. Layers frozen by freeze() ignore it.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }
  /// Whether forward in eval mode saves what backward needs, here and in the children.
  void keep_for_backward(bool on = true);
  /// Forgets everything saved for backward, here and in the children.
  void clear_saved();
  /// How long the sequences of the batches [N, C, T] that follow are, here and in the children,
  /// until it is said again; {} where every step is valid. Layers over sequences let padding enter
  /// nothing and give zeros there; their forward throws ShapeError for lengths that do not fit x.
  /// backward goes by the lengths of its forward.
  void set_lengths(const Lengths& lengths);
  const Lengths& lengths() const { return lengths_; }
  /// False where nobody uses the gradient of this module's input, as at the start of a network.
  /// Layers with parameters may then return an undefined tensor from backward, and modules without
  /// any save nothing: their backward is not to be called (see needs_backward). Containers pass it
  /// on to the children that see the input. True at first.
  virtual void set_needs_input_gradient(bool on) { needs_input_gradient_ = on; }
  bool needs_input_gradient() const { return needs_input_gradient_; }
  /// Whether backward has anything to compute here: an input gradient or parameters.
  bool needs_backward() const { return needs_input_gradient_ || has_parameters(); }
  /// Whether there are parameters here or in the children.
  bool has_parameters() const;

  /// Hears of what this module gives and is handed whenever a container runs it; {} for nothing.
  /// Whoever calls a module by itself has both in hand: a network's own watch hears of nothing.
  /// Copies of the module start without.
  void set_watch(Watch watch);
  /// What was set; empty functions where nothing was.
  const Watch& watch() const;

  /// Initializes all parameters here and below from one seed; each module draws from a stream of
  /// its own, named by its path.
  void initialize(std::uint64_t seed);
  void zero_grad();
  /// Converts parameters to f32 or f64 (buffers keep their dtype). Forgets what was saved for
  /// backward.
  void to(DType dtype);

  /// Of this module and, depth first, its children.
  std::vector<NamedParameter> parameters();
  std::vector<NamedBuffer> buffers();
  /// Number of trainable elements.
  std::int64_t parameter_count();
  /// Parameters and buffers by name; the tensors share memory with the module. With `exported_only`
  /// the set that PyTorch knows.
  StateDict state_dict(bool exported_only = false);
  /// Copies values in, converting dtypes. Throws Error naming the first missing, surplus or
  /// misshapen tensor, before anything is changed.
  void load_state_dict(const StateDict& state);

  std::size_t child_count() const { return children_.size(); }
  /// Throw UsageError unless i < child_count().
  const std::string& child_name(std::size_t i) const { return children_[checked(i)].first; }
  Module& child(std::size_t i) { return *children_[checked(i)].second; }
  const Module& child(std::size_t i) const { return *children_[checked(i)].second; }
  /// Calls f(path, module) for this module (path "") and, depth first, for everything below.
  void visit(const std::function<void(const std::string&, Module&)>& f);

  /// "BatchNorm2d 3.body.1" once part of a network, else "BatchNorm2d": how errors name the layer.
  std::string label() const;
  const std::string& path() const { return path_; }

 protected:
  using Id = std::size_t;

  Module() = default;
  /// Copies parameters, buffers and children deeply.
  Module(const Module& other);
  Module& operator=(const Module&) = delete;

  Id register_parameter(std::string name, const Shape& shape, ParameterKind kind);
  Id register_buffer(std::string name, Tensor value, bool exported = true);
  Module& register_child(std::string name, std::unique_ptr<Module> child);
  /// Takes child i's place.
  void replace_child(std::size_t i, std::unique_ptr<Module> child);

  Parameter& parameter(Id id) { return *parameters_[id].second; }
  const Parameter& parameter(Id id) const { return *parameters_[id].second; }
  Tensor& buffer(Id id) { return buffers_[id].second->value; }
  const Tensor& buffer(Id id) const { return buffers_[id].second->value; }

  /// Whether forward must save for backward now.
  bool recording() const { return (training_ || keep_) && needs_backward(); }
  /// For modules whose mode is not simply what train() says.
  virtual void on_train(bool on) { training_ = on; }
  /// Where this module keeps what its backward needs; null if it keeps nothing of its own.
  virtual SavedBase* own_saved() { return nullptr; }
  /// Forgets what else is kept between calls.
  virtual void clear_own_rest() {}

  bool training_ = true;

 private:
  friend class Rollback;

  std::size_t checked(std::size_t i) const;
  void set_path(const std::string& path);
  void collect(const std::string& prefix, std::vector<NamedParameter>& out);
  void collect(const std::string& prefix, std::vector<NamedBuffer>& out);

  std::vector<std::pair<std::string, std::unique_ptr<Parameter>>> parameters_;
  std::vector<std::pair<std::string, std::unique_ptr<Buffer>>> buffers_;
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
  std::string path_;
  Lengths lengths_;
  std::unique_ptr<const Watch> watch_;  // null where there is nothing to tell
  bool keep_ = false;
  bool needs_input_gradient_ = true;
};

/// Throws the StateError of a backward that has no forward to take back, naming the layer.
[[noreturn]] void fail_without_forward(const Module& module);

/// What a module saved, latest last. Copies of a module start with an empty one.
template <class T>
class SavedStack : public SavedBase {
 public:
  SavedStack() = default;
  SavedStack(const SavedStack&) : SavedBase() {}
  SavedStack& operator=(const SavedStack&) = delete;
  SavedStack(SavedStack&&) = default;
  SavedStack& operator=(SavedStack&&) = default;

  /// Lets the next push() succeed whatever happens: for layers that change state in between.
  void make_room() {
    if (values_.size() == values_.capacity()) values_.reserve(2 * values_.size() + 1);
  }
  void push(T value) { values_.push_back(std::move(value)); }
  /// The latest, which stays until pop(): backward checks and computes first. Throws StateError
  /// naming the layer if there is none.
  const T& top(const Module& module) const {
    if (values_.empty()) fail_without_forward(module);
    return values_.back();
  }
  void pop() { values_.pop_back(); }

  std::size_t size() const override { return values_.size(); }
  void shrink(std::size_t count) override {
    while (values_.size() > count) values_.pop_back();
  }

 private:
  std::vector<T> values_;
};

/// Gives a concrete module its clone().
template <class Derived, class Base = Module>
class Cloneable : public Base {
 public:
  std::unique_ptr<Module> clone() const override {
    return std::make_unique<Derived>(static_cast<const Derived&>(*this));
  }

 protected:
  using Base::Base;
};

}  // namespace evenkeel::nn
