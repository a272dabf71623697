// Layer norms in the form that exporters give them where the operator set has no operator for them:
//
//     mean = ReduceMean(x)    centred = Sub(x, mean)    var = ReduceMean(Pow(centred, 2))
//     y = Add(Mul(Div(centred, Sqrt(Add(var, ε))), γ), β)
//
// As sums and products of nodes this would need a sum that repeats one side, and would be no layer.

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "deploy/onnx/model.h"

namespace evenkeel::deploy {
namespace {

using Axes = std::vector<std::int64_t>;

class LayerNorms {
 public:
  explicit LayerNorms(OnnxModel& model) : model_(model) {
    for (std::size_t i = 0; i < model.nodes.size(); ++i) {
      for (const std::string& output : model.nodes[i].outputs) writers_[output] = i;
      for (const std::string& input : model.nodes[i].inputs) {
        ++uses_[input];
        readers_[input] = i;
      }
    }
    for (const OnnxValue& output : model.outputs) ++uses_[output.name];
  }

  void join() {
    for (std::size_t i = 0; i < model_.nodes.size(); ++i) {
      if (model_.nodes[i].type == "Div") join_at(i);
    }
  }

 private:
  /// What all but the affine part say.
  struct Norm {
    std::string x;
    Axes axes;
    double eps = 0;
  };

  const OnnxNode* writer(const std::string& value, std::string_view type) const {
    const auto found = writers_.find(value);
    if (found == writers_.end()) return nullptr;
    const OnnxNode& node = model_.nodes[found->second];
    return node.type == type && !node.outputs.empty() && node.outputs[0] == value ? &node : nullptr;
  }

  /// An initializer, or what a Constant node gives; undefined for anything else.
  Tensor constant(const std::string& value) const {
    if (const auto found = model_.initializers.find(value); found != model_.initializers.end()) {
      return found->second;
    }
    const OnnxNode* const node = writer(value, "Constant");
    if (node == nullptr) return {};
    if (const auto tensor = node->attributes.find("value"); tensor != node->attributes.end()) {
      return tensor->second.tensor;
    }
    const auto number = node->attributes.find("value_float");
    if (number == node->attributes.end()) return {};
    return Tensor::full({}, number->second.real, DType::f64);
  }
  std::optional<double> number(const std::string& value) const {
    const Tensor tensor = constant(value);
    if (!tensor.defined() || tensor.numel() != 1) return std::nullopt;
    return tensor.to(DType::f64).item();
  }

  /// Of the constant input of a node with two, and the other input's name.
  struct WithConstant {
    std::string value;
    std::string constant;
  };
  std::optional<WithConstant> with_constant(const OnnxNode& node) const {
    if (node.inputs.size() != 2) return std::nullopt;
    for (const std::size_t i : {std::size_t{1}, std::size_t{0}}) {
      if (constant(node.inputs[i]).defined()) {
        return WithConstant{node.inputs[1 - i], node.inputs[i]};
      }
    }
    return std::nullopt;
  }

  /// What a mean that keeps its dimensions is over; no list for anything else.
  Axes mean_axes(const OnnxNode& mean) const {
    const auto keep = mean.attributes.find("keepdims");
    if (keep != mean.attributes.end() && keep->second.integer == 0) return {};
    if (const auto axes = mean.attributes.find("axes"); axes != mean.attributes.end()) {
      return axes->second.integers;
    }
    if (mean.inputs.size() < 2) return {};
    const Tensor axes = constant(mean.inputs[1]);
    if (!axes.defined() || axes.dtype() != DType::i64) return {};
    const auto values = std::as_const(axes).span<std::int64_t>();
    return {values.begin(), values.end()};
  }

  /// x of Sub(x, ReduceMean(x)), and what the mean is over.
  std::optional<Norm> centred(const std::string& value) const {
    const OnnxNode* const difference = writer(value, "Sub");
    if (difference == nullptr || difference->inputs.size() != 2) return std::nullopt;
    const std::string& x = difference->inputs[0];
    const OnnxNode* const mean = writer(difference->inputs[1], "ReduceMean");
    if (mean == nullptr || mean->inputs.empty() || mean->inputs[0] != x) return std::nullopt;
    Norm norm{x, mean_axes(*mean), 0};
    if (norm.axes.empty()) return std::nullopt;
    return norm;
  }

  /// c of Pow(c, 2) or Mul(c, c); "" for anything else.
  std::string squared(const std::string& value) const {
    if (const OnnxNode* const power = writer(value, "Pow")) {
      const bool two = power->inputs.size() == 2 && number(power->inputs[1]) == 2.0;
      return two ? power->inputs[0] : "";
    }
    const OnnxNode* const product = writer(value, "Mul");
    const bool itself = product != nullptr && product->inputs.size() == 2 &&
                        product->inputs[0] == product->inputs[1];
    return itself ? product->inputs[0] : "";
  }

  std::optional<Norm> norm_of(const OnnxNode& quotient) const {
    if (quotient.inputs.size() != 2) return std::nullopt;
    std::optional<Norm> norm = centred(quotient.inputs[0]);
    const OnnxNode* const root = writer(quotient.inputs[1], "Sqrt");
    if (!norm || root == nullptr || root->inputs.size() != 1) return std::nullopt;
    const OnnxNode* const shifted = writer(root->inputs[0], "Add");
    const auto parts = shifted == nullptr ? std::nullopt : with_constant(*shifted);
    const auto eps = parts ? number(parts->constant) : std::nullopt;
    const OnnxNode* const mean = parts ? writer(parts->value, "ReduceMean") : nullptr;
    if (!eps || mean == nullptr || mean->inputs.empty()) return std::nullopt;
    // Some exporters write the difference twice.
    const std::optional<Norm> again = centred(squared(mean->inputs[0]));
    const bool same =
        again && again->x == norm->x && again->axes == norm->axes && mean_axes(*mean) == norm->axes;
    if (!same) return std::nullopt;
    norm->eps = *eps;
    return norm;
  }

  /// The one node that reads the value, if it is of that type and combines it with a weight of
  /// `rank` dimensions, whose name is set.
  const OnnxNode* affine(const std::string& value, std::string_view type, std::size_t rank,
                         std::string& weight) const {
    const auto uses = uses_.find(value);
    if (uses == uses_.end() || uses->second != 1 || !readers_.contains(value)) return nullptr;
    const OnnxNode& node = model_.nodes[readers_.at(value)];
    if (node.type != type || node.outputs.size() != 1) return nullptr;
    const auto parts = with_constant(node);
    if (!parts || parts->value != value) return nullptr;
    const Tensor tensor = constant(parts->constant);
    // One number for all elements is no weight of the layer.
    if (static_cast<std::size_t>(tensor.rank()) != rank || tensor.numel() == 1) return nullptr;
    weight = parts->constant;
    return &node;
  }

  void join_at(std::size_t i) {
    const auto norm = norm_of(model_.nodes[i]);
    if (!norm || model_.nodes[i].outputs.size() != 1) return;
    OnnxNode joined;
    joined.name = model_.nodes[i].name;
    joined.type = "LayerNormalization";
    joined.inputs = {norm->x};
    std::string last = model_.nodes[i].outputs[0];
    for (const char* const type : {"Mul", "Add"}) {
      std::string weight;
      const OnnxNode* const node = affine(last, type, norm->axes.size(), weight);
      if (node == nullptr) break;
      joined.inputs.push_back(weight);
      last = node->outputs[0];
    }
    Attribute axes, eps;
    axes.kind = Attribute::Kind::integers;
    axes.integers = norm->axes;
    eps.kind = Attribute::Kind::real;
    eps.real = norm->eps;
    joined.attributes = {{kNormalizedAxes, axes}, {"epsilon", eps}};
    joined.outputs = {last};
    // The others stay, for what else may read them; what nothing reads is not built.
    model_.nodes[writers_.at(last)] = std::move(joined);
  }

  OnnxModel& model_;
  std::unordered_map<std::string, std::size_t> writers_;
  std::unordered_map<std::string, std::size_t> readers_;  // one of them
  std::unordered_map<std::string, int> uses_;
};

}  // namespace

void join_layer_norms(OnnxModel& model) { LayerNorms(model).join(); }

}  // namespace evenkeel::deploy
