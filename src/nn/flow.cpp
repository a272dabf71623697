#include <utility>

#include <evenkeel/nn/flow.h>
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/graph.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

using Kind = FlowStep::Kind;

Kind kind_of(Graph::NodeKind kind) {
  switch (kind) {
    case Graph::NodeKind::sum:
      return Kind::sum;
    case Graph::NodeKind::concat:
      return Kind::concat;
    default:
      return Kind::product;
  }
}

/// What the output of a graph depends on.
std::vector<bool> live_nodes(const Graph& graph) {
  const auto& nodes = graph.nodes();
  std::vector<bool> live(nodes.size(), false);
  live[graph.output()] = true;
  for (std::size_t i = graph.output() + 1; i-- > 0;) {
    if (!live[i]) continue;
    for (const std::size_t input : nodes[i].inputs) live[input] = true;
  }
  return live;
}

}  // namespace

Flow::Flow(Module& network) {
  add({});
  output_ = enter(network, nullptr, 0, 0);
}

std::size_t Flow::add(FlowStep step) {
  for (const std::size_t input : step.inputs) steps_[input].users.push_back(steps_.size());
  steps_.push_back(std::move(step));
  return steps_.size() - 1;
}

std::size_t Flow::enter(Module& module, Container* owner, std::size_t place, std::size_t input) {
  if (auto* const layers = dynamic_cast<Sequential*>(&module)) {
    std::size_t value = input;
    for (std::size_t i = 0; i < layers->size(); ++i) {
      value = enter((*layers)[i], layers, i, value);
    }
    return value;
  }
  if (auto* const residual = dynamic_cast<Residual*>(&module)) {
    const std::size_t body = enter(residual->body(), residual, 0, input);
    const std::size_t side =
        residual->has_shortcut() ? enter(residual->shortcut(), residual, 1, input) : input;
    return add({.kind = Kind::sum, .module = residual, .inputs = {body, side}});
  }
  if (auto* const concat = dynamic_cast<Concat*>(&module)) {
    std::vector<std::size_t> branches;
    for (std::size_t i = 0; i < concat->child_count(); ++i) {
      branches.push_back(enter(concat->child(i), concat, i, input));
    }
    return add({.kind = Kind::concat, .module = concat, .inputs = std::move(branches)});
  }
  if (auto* const graph = dynamic_cast<Graph*>(&module)) {
    const std::vector<bool> live = live_nodes(*graph);
    std::vector<std::size_t> values(graph->nodes().size());
    values[0] = input;
    for (std::size_t i = 1; i < values.size(); ++i) {
      if (!live[i]) continue;
      const Graph::Node& node = graph->nodes()[i];
      std::vector<std::size_t> inputs;
      for (const std::size_t j : node.inputs) inputs.push_back(values[j]);
      values[i] = node.kind == Graph::NodeKind::module
                      ? enter(graph->child(node.child), graph, node.child, inputs[0])
                      : add({.kind = kind_of(node.kind), .inputs = std::move(inputs)});
    }
    return values[graph->output()];
  }
  return add(
      {.kind = Kind::layer, .module = &module, .owner = owner, .place = place, .inputs = {input}});
}

void Flow::replace(std::size_t i, std::unique_ptr<Module> layer) {
  FlowStep& step = steps_[i];
  if (step.owner == nullptr) {
    fail<UsageError>("[flow] expected a layer inside a container to replace, got {}",
                     step.module != nullptr ? step.module->label() : "none");
  }
  step.owner->replace(step.place, std::move(layer));
  step.module = &step.owner->child(step.place);
}

}  // namespace evenkeel::nn
