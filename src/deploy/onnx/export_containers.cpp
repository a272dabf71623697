// Containers: what is in them, and how it is joined.

#include "deploy/onnx/exporter.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/graph.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::deploy {
namespace {

std::string operator_of(ops::ActivationKind kind) {
  switch (kind) {
    case ops::ActivationKind::relu:
      return "Relu";
    case ops::ActivationKind::sigmoid:
      return "Sigmoid";
    case ops::ActivationKind::tanh:
      return "Tanh";
    default:
      return "LeakyRelu";
  }
}

}  // namespace

Symbol write_sequential(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  Symbol y = x;
  for (std::size_t i = 0; i < layer.child_count(); ++i) y = exporter.emit(layer.child(i), y);
  return y;
}

/// A sum that fold() gave to the last convolution of the body is written there.
Symbol write_residual(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& residual = dynamic_cast<nn::Residual&>(layer);
  const Symbol side = residual.has_shortcut() ? exporter.emit(residual.shortcut(), x) : x;
  if (residual.joined()) {
    exporter.addends.push_back(side.name);
    return exporter.emit(residual.body(), x);
  }
  const Symbol main = exporter.emit(residual.body(), x);
  const std::string name = name_of(layer);
  Symbol y{exporter.node("Add", {main.name, side.name}, {}, name + ".sum"), {}};
  if (const auto kind = residual.activation()) {
    y.name = exporter.node(operator_of(*kind), {y.name}, {}, name + ".activation");
  }
  return y;
}

Symbol write_concat(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < layer.child_count(); ++i) {
    parts.push_back(exporter.emit(layer.child(i), x).name);
  }
  return {exporter.node("Concat", parts, {{"axis", std::int64_t{1}}}, name_of(layer)), {}};
}

Symbol write_graph(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  using Kind = nn::Graph::NodeKind;
  auto& graph = dynamic_cast<nn::Graph&>(layer);
  const auto& nodes = graph.nodes();
  std::vector<bool> live(nodes.size(), false);
  live[graph.output()] = true;
  for (std::size_t i = graph.output() + 1; i-- > 0;) {
    for (const std::size_t input : nodes[i].inputs) live[input] = live[input] || live[i];
  }
  std::vector<Symbol> values(nodes.size());
  values[0] = x;
  const std::vector<Shape> shapes = graph.node_shapes(x.shape);
  const std::string prefix = layer.path().empty() ? "" : name_of(layer) + ".";
  for (std::size_t i = 1; i <= graph.output(); ++i) {
    if (!live[i]) continue;
    const nn::Graph::Node& node = nodes[i];
    std::vector<std::string> inputs;
    for (const std::size_t j : node.inputs) inputs.push_back(values[j].name);
    const std::string name = prefix + node.name;
    switch (node.kind) {
      case Kind::module:
        values[i] = exporter.emit(graph.child(node.child), values[node.inputs[0]]);
        continue;
      case Kind::product:
        values[i].name = exporter.node("Mul", inputs, {}, name);
        break;
      case Kind::matmul:
        values[i].name = exporter.node("MatMul", inputs, {}, name);
        break;
      case Kind::concat:
        values[i].name = exporter.node("Concat", inputs, {{"axis", std::int64_t{1}}}, name);
        break;
      default:
        values[i].name = inputs.size() == 1
                             ? inputs[0]
                             : exporter.node(inputs.size() == 2 ? "Add" : "Sum", inputs, {}, name);
    }
    values[i].shape = shapes[i];
  }
  return values[graph.output()];
}

}  // namespace evenkeel::deploy
