// Builds a graph from a checked model, node by node.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "deploy/onnx/model.h"
#include "deploy/onnx/unique_names.h"
#include <evenkeel/deploy/onnx.h>

namespace evenkeel::deploy {

/// Shapes, and constants that follow from shapes, are computed for two batches: what differs
/// between them depends on the batch.
inline constexpr std::size_t kBatches = 2;
using Shapes = std::array<Shape, kBatches>;
using Constants = std::array<Tensor, kBatches>;

/// What a name in the model stands for: a constant, or a node of the graph seen in some shape.
struct Value {
  Constants constant;    ///< undefined for nodes
  bool learned = false;  ///< a constant that is a weight of the model and not computed
  std::string node;      ///< of the graph
  Shapes node_shapes;
  Shapes shapes;  ///< other than node_shapes where a Reshape is due before the value is used

  bool is_constant() const { return constant[0].defined(); }
  /// The same for every batch.
  bool is_fixed() const;
};

class Importer {
 public:
  Importer(const io::Origin& origin, OnnxModel& model);

  /// Builds everything that `output` needs for an input of these shapes.
  std::unique_ptr<nn::Graph> build(const Shapes& input, const std::string& output);

  /// An output that follows from constants alone; undefined where it does not.
  Tensor compute(const std::string& output);

  // For the operators: what concerns the node at hand.

  const OnnxNode& node() const { return *node_; }
  std::int64_t opset() const { return model_.opset; }
  /// Whether training folds the unbiased variance into running statistics.
  bool unbiased() const { return unbiased_; }
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    place_of(origin_, *node_).refuse(format, std::forward<Args>(args)...);
  }

  bool has(std::size_t input) const;
  std::size_t input_count() const { return node_->inputs.size(); }
  /// Refuses where the input is missing.
  const Value& input(std::size_t input) const;
  /// A constant that does not depend on the batch; refuses anything else. `what` names it.
  Tensor constant(std::size_t input, std::string_view what) const;
  std::vector<std::int64_t> integers(std::size_t input, std::string_view what) const;

  std::int64_t attribute(const std::string& name, std::int64_t fallback) const;
  double attribute(const std::string& name, double fallback) const;
  std::string attribute(const std::string& name, const std::string& fallback) const;
  std::vector<std::int64_t> attribute(const std::string& name,
                                      const std::vector<std::int64_t>& fallback) const;
  bool has_attribute(const std::string& name) const { return node_->attributes.contains(name); }
  const Attribute* find_attribute(const std::string& name) const;
  /// dim counted from the end where negative; refuses one that is not there.
  std::int64_t dimension(std::int64_t dim, int rank, std::string_view what = "axis") const;

  void set_output(std::size_t output, Value value);
  bool output_used(std::size_t output) const;

  /// A layer applied to a value. `suffix` tells several layers of one node apart.
  Value apply(std::unique_ptr<nn::Module> layer, const Value& value, std::string_view suffix = "");
  template <nn::Layer Layer>
  Value apply(Layer layer, const Value& value, std::string_view suffix = "") {
    return apply(nn::to_owned(std::move(layer)), value, suffix);
  }
  enum class Join : std::uint8_t { sum, product, matmul, concat };
  Value join(Join how, const std::vector<Value>& values, std::string_view suffix = "");
  /// The same elements in other shapes; refuses shapes that depend on the batch in two dimensions.
  Value reshaped(const Value& value, const Shapes& shapes) const;
  /// Shapes for both batches, each given by `f(which)`.
  template <class F>
  static Shapes shapes_of(F&& f) {
    return {f(std::size_t{0}), f(std::size_t{1})};
  }
  static Value constant_value(Constants constants, bool learned);
  /// Names of the nodes of batch norms with running statistics that the model leaves in training
  /// mode.
  const std::vector<std::string>& training_norms() const { return training_norms_; }
  void add_training_norm(std::string node) { training_norms_.push_back(std::move(node)); }
  /// Of the network's activations and parameters: f32 or f64.
  DType dtype() const { return dtype_; }

 private:
  void run(const OnnxNode& node);
  void fold();
  bool all_constant() const;
  std::unordered_set<std::string> needed_for(const std::string& output) const;
  const Value& value_of(const std::string& name) const;
  /// The node that holds the value in its shape.
  std::string settled(const Value& value);
  std::string name_for(std::string_view suffix);
  void check_extents(const Shapes& shapes) const;
  Value added(std::string node, const Shapes& shapes);

  io::Origin origin_;
  OnnxModel& model_;
  const OnnxNode* node_ = nullptr;
  std::unique_ptr<nn::Graph> graph_;
  std::unordered_map<std::string, Value> values_;
  std::unordered_map<std::string, std::string> settled_;  // nodes of reshaped values
  UniqueNames names_{{"input"}};
  std::unordered_set<std::string> used_;
  std::vector<std::string> training_norms_;
  std::int64_t folded_ = 0;  // elements of computed constants
  DType dtype_ = DType::f32;
  bool unbiased_;
};

/// One operator of the format.
struct Operator {
  std::string_view type;
  void (*build)(Importer& importer);  ///< null for those that are only computed from constants
};
/// Null where it is not supported.
const Operator* find_operator(std::string_view type);

// The rows of the table, by family.
void build_batch_normalization(Importer& importer);
void build_instance_normalization(Importer& importer);
void build_layer_normalization(Importer& importer);
void build_group_normalization(Importer& importer);
void build_conv(Importer& importer);
void build_conv_transpose(Importer& importer);
void build_gemm(Importer& importer);
void build_matmul(Importer& importer);
void build_max_pool(Importer& importer);
void build_average_pool(Importer& importer);
void build_global_average_pool(Importer& importer);
void build_global_max_pool(Importer& importer);
void build_relu(Importer& importer);
void build_leaky_relu(Importer& importer);
void build_sigmoid(Importer& importer);
void build_tanh(Importer& importer);
void build_gelu(Importer& importer);
void build_erf(Importer& importer);
void build_sqrt(Importer& importer);
void build_reciprocal(Importer& importer);
void build_pow(Importer& importer);
void build_neg(Importer& importer);
void build_clip(Importer& importer);
void build_softmax(Importer& importer);
void build_dropout(Importer& importer);
void build_add(Importer& importer);
void build_sub(Importer& importer);
void build_mul(Importer& importer);
void build_div(Importer& importer);
void build_sum(Importer& importer);
void build_identity(Importer& importer);
void build_cast(Importer& importer);
void build_shape(Importer& importer);
void build_pad(Importer& importer);
void build_concat(Importer& importer);
void build_reduce_mean(Importer& importer);
void build_flatten(Importer& importer);
void build_reshape(Importer& importer);
void build_squeeze(Importer& importer);
void build_unsqueeze(Importer& importer);
void build_transpose(Importer& importer);
void build_slice(Importer& importer);
void build_split(Importer& importer);
void build_gather(Importer& importer);
void build_expand(Importer& importer);

/// The pads [begin..., end...] of a window over spatial dimensions, by pads and auto_pad.
struct Window {
  std::vector<std::int64_t> kernel, stride, dilation, before, after;
};
Window window_of(const Importer& importer, const Shape& input, std::vector<std::int64_t> kernel);
/// Sizes as the layer table takes them: one number where all are equal, as they are for a single
/// dimension.
OptionValue size_option(const std::vector<std::int64_t>& sizes);
/// [0, 0, spatial...]: of all dimensions.
std::vector<std::int64_t> for_all(const std::vector<std::int64_t>& spatial);

/// The node's outputs from inputs that are all constant; empty where it is not known how.
struct Folder {
  std::string_view type;
  Tensor (*compute)(const Importer& importer, const std::vector<Tensor>& inputs);
};
const Folder* find_folder(std::string_view type);

/// numpy's rules; refuses shapes that do not fit.
Shape broadcast_shape(const Importer& importer, const Shape& a, const Shape& b);
/// What Reshape makes of `shape`.
Shape reshape_target(const Importer& importer, const Shape& input,
                     const std::vector<std::int64_t>& target, bool allow_zero);
Shape squeezed(const Importer& importer, const Shape& input,
               const std::optional<std::vector<std::int64_t>>& axes);
Shape unsqueezed(const Importer& importer, const Shape& input,
                 const std::vector<std::int64_t>& axes);
/// The axes of Squeeze, Unsqueeze and ReduceMean: an attribute, or an input in newer sets.
std::optional<std::vector<std::int64_t>> axes_of(const Importer& importer);
/// What Shape gives, by its start and end.
Tensor shape_tensor(const Importer& importer, const Shape& shape);
std::vector<std::int64_t> integers_of(const Tensor& tensor);

}  // namespace evenkeel::deploy
