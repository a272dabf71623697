// Branches side by side.
#pragma once

#include <evenkeel/nn/layers/container.h>

namespace evenkeel::nn {

/// Every branch gets x; their outputs [N, Cᵢ, spatial...], equal but for Cᵢ, are put side by side:
/// y [N, ΣCᵢ, spatial...] in the layout of the first. The branches are called "0", "1", …
class Concat : public Cloneable<Concat, Container> {
 public:
  template <class... Branches>
  requires ChildrenOf<Concat, Branches...>
  explicit Concat(Branches&&... branches) {
    (add(to_owned(std::forward<Branches>(branches))), ...);
  }
  Concat() = default;

  /// Appends. Throws UsageError for a null pointer.
  Concat& add(std::unique_ptr<Module> branch);
  template <Layer T>
  Concat& add(T&& branch) {
    return add(to_owned(std::forward<T>(branch)));
  }
  std::size_t size() const { return child_count(); }

  std::string_view type() const override { return "Concat"; }
  /// Throws UsageError without a branch.
  Shape output_shape(const Shape& input) const override;
  std::vector<Shape> child_inputs(const Shape& input) const override;
  void expect_forward() override;
  void set_needs_input_gradient(bool on) override;

 protected:
  Tensor run_forward(Tensor x) override;
  Tensor run_backward(Tensor dy) override;

 private:
  struct Saved {
    std::vector<Shape> shapes;  // of the branches' outputs
    DType dtype;                // of y
  };
  SavedBase* own_saved() override { return &saved_; }

  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
