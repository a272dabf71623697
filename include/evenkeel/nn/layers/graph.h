// Any directed acyclic network.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <evenkeel/nn/kept.h>
#include <evenkeel/nn/layers/container.h>

namespace evenkeel::nn {

/// Named nodes, each computed from nodes that were added before it: a module applied to one of
/// them, a sum or product of several, a product of matrices, or several side by side over the
/// channels. The node "input" is the graph's input. The output is the node last added, or the one
/// named by set_output(). Nodes that the output does not depend on are not run. Modules are
/// children under the names of their nodes.
///
///     Graph net;
///     net.add("stem", Conv2d(3, 8, 3, {.padding = 1}))       // from the node before, here "input"
///        .add("left", Conv2d(8, 8, 1), "stem")
///        .add("right", AvgPool2d(3, {.stride = 1, .padding = 1}), "stem")
///        .add_sum("sum", {"left", "right"});
class Graph : public Cloneable<Graph, Container> {
 public:
  /// Throws UsageError for a name that is empty, taken or contains a dot, an unknown input, or a
  /// null module. So do the others.
  Graph& add(const std::string& name, std::unique_ptr<Module> module, const std::string& input);
  /// Applied to the node added before.
  Graph& add(const std::string& name, std::unique_ptr<Module> module);
  template <Layer T>
  Graph& add(const std::string& name, T&& layer, const std::string& input) {
    return add(name, to_owned(std::forward<T>(layer)), input);
  }
  template <Layer T>
  Graph& add(const std::string& name, T&& layer) {
    return add(name, to_owned(std::forward<T>(layer)));
  }
  /// The sum of one or more nodes of one shape, in the layout of the first.
  Graph& add_sum(const std::string& name, const std::vector<std::string>& inputs);
  /// The product of two nodes of one rank, in the layout of the first. Each extent is that of the
  /// other, or 1, which repeats.
  Graph& add_product(const std::string& name, const std::vector<std::string>& inputs);
  /// Products of the matrices in the last two dimensions of two nodes: [..., M, K] and [..., K, P]
  /// give [..., M, P]. Channels first.
  Graph& add_matmul(const std::string& name, const std::vector<std::string>& inputs);
  /// One or more nodes [N, Cᵢ, spatial...] side by side, in the layout of the first.
  Graph& add_concat(const std::string& name, const std::vector<std::string>& inputs);
  void set_output(const std::string& name);

  enum class NodeKind : std::uint8_t { input, module, sum, concat, product, matmul };
  struct Node {
    std::string name;
    NodeKind kind = NodeKind::input;
    std::size_t child = 0;            ///< of the graph, where kind is module
    std::vector<std::size_t> inputs;  ///< nodes, all before this one
  };
  /// In the order in which they were added; node 0 is "input".
  const std::vector<Node>& nodes() const { return nodes_; }
  std::size_t output() const { return output_; }
  /// Of every node; unused ones get their input's shape checks too.
  std::vector<Shape> node_shapes(const Shape& input) const;

  std::string_view type() const override { return "Graph"; }
  Shape output_shape(const Shape& input) const override;
  std::vector<Shape> child_inputs(const Shape& input) const override;
  void expect_forward() override;
  void set_needs_input_gradient(bool on) override;

 protected:
  Tensor run_forward(Tensor x) override;
  Tensor run_backward(Tensor dy) override;

 private:
  struct Saved {
    std::vector<Shape> shapes;  // of the nodes
    Layout layout;              // of the input
    DType dtype;                // of the output
    std::vector<std::pair<Kept, Kept>>
        factors;  // of the products that run, of either kind, in order
  };
  SavedBase* own_saved() override { return &saved_; }
  std::size_t index_of(const std::string& name) const;
  Graph& append(Node node);
  std::vector<std::size_t> indices_of(const std::string& name,
                                      const std::vector<std::string>& inputs) const;
  /// Finds what the output depends on and which input gradients are needed, once nodes have been
  /// added.
  void plan();
  void pass_back(const Node& node, Tensor dy, const Saved& saved, std::size_t product,
                 std::vector<Tensor>& gradients);

  std::vector<Node> nodes_{{"input", NodeKind::input, 0, {}}};
  std::size_t output_ = 0;
  bool output_was_set_ = false;
  std::unordered_map<std::string, std::size_t> places_{{"input", 0}};  // of the nodes, by name
  bool planned_ = false;
  std::vector<bool> live_{true};          // the output depends on the node
  std::vector<bool> wants_{true};         // somebody uses the gradient of the node's output
  std::vector<std::size_t> last_use_{0};  // the last live node that reads the node
  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
