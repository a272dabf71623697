// What containers share.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// A module made of children. Shapes are checked through all of them before the first is run;
/// whatever else a layer throws in forward, the others are put back where they were.
class Container : public Module {
 public:
  /// The shape that each child gets where the container gets `input`, in the order of the children.
  virtual std::vector<Shape> child_inputs(const Shape& input) const = 0;
  Tensor forward(const Tensor& x) final { return forward_in_place(x); }
  Tensor forward_in_place(Tensor x) final;
  Tensor backward(const Tensor& dy) final { return backward_in_place(dy); }
  Tensor backward_in_place(Tensor dy) final;

  /// Puts another layer in place of child i. Throws UsageError for a null pointer, a child that
  /// there is not and a container whose children are of fixed kinds, StateError for a child that
  /// was fused with another.
  virtual void replace(std::size_t i, std::unique_ptr<Module> layer);

 protected:
  /// Forward and backward through the children. What these throw needs no clearing up. x and dy are
  /// the function's own: what it gives to a child as its last handle may be written over.
  virtual Tensor run_forward(Tensor x) = 0;
  virtual Tensor run_backward(Tensor dy) = 0;

  /// forward_in_place and backward_in_place of child i, of which its watch hears: containers run
  /// their children through these.
  Tensor forward_child(std::size_t i, Tensor x);
  Tensor backward_child(std::size_t i, Tensor dy);
  /// For a child that is run in a way of its own: y behind its forward, dy before its backward.
  void show_output(std::size_t i, const Tensor& y) const;
  void show_gradient(std::size_t i, const Tensor& dy) const;
};

/// A layer or container given by value (or moved in).
template <class T>
concept Layer = std::derived_from<std::remove_cvref_t<T>, Module>;

/// What a container's constructor may take as its children: layers, or owned modules. A single
/// argument of the container's own type is a copy, not a nesting.
template <class T>
concept LayerArgument = Layer<T> || std::convertible_to<T, std::unique_ptr<Module>>;
template <class Self, class... Args>
concept ChildrenOf = (sizeof...(Args) > 0) && (LayerArgument<Args> && ...) &&
                     !(sizeof...(Args) == 1 &&
                       (std::derived_from<std::remove_cvref_t<Args>, Self> && ...));

/// On the heap, as the containers keep it.
template <Layer T>
std::unique_ptr<Module> to_owned(T&& layer) {
  return std::make_unique<std::remove_cvref_t<T>>(std::forward<T>(layer));
}
inline std::unique_ptr<Module> to_owned(std::unique_ptr<Module> layer) { return layer; }

}  // namespace evenkeel::nn
