#include <algorithm>

#include "nn/layers/checks.h"
#include "nn/layers/join.h"
#include <evenkeel/nn/layers/graph.h>

namespace evenkeel::nn {
namespace {

bool is_product(const Graph::Node& node) {
  return node.kind == Graph::NodeKind::product || node.kind == Graph::NodeKind::matmul;
}

}  // namespace

Graph& Graph::add(const std::string& name, std::unique_ptr<Module> module,
                  const std::string& input) {
  if (!module)
    fail<UsageError>("[{}] node '{}' expects a module, got a null pointer", label(), name);
  Node node{name, NodeKind::module, child_count(), indices_of(name, {input})};
  register_child(name, std::move(module));
  return append(std::move(node));
}

Graph& Graph::add(const std::string& name, std::unique_ptr<Module> module) {
  return add(name, std::move(module), nodes_.back().name);
}

Graph& Graph::add_sum(const std::string& name, const std::vector<std::string>& inputs) {
  return append({name, NodeKind::sum, 0, indices_of(name, inputs)});
}

Graph& Graph::add_product(const std::string& name, const std::vector<std::string>& inputs) {
  if (inputs.size() != 2) {
    fail<UsageError>("[{}] node '{}' expects two factors, got {}", label(), name, inputs.size());
  }
  return append({name, NodeKind::product, 0, indices_of(name, inputs)});
}

Graph& Graph::add_matmul(const std::string& name, const std::vector<std::string>& inputs) {
  if (inputs.size() != 2) {
    fail<UsageError>("[{}] node '{}' expects two factors, got {}", label(), name, inputs.size());
  }
  return append({name, NodeKind::matmul, 0, indices_of(name, inputs)});
}

Graph& Graph::add_concat(const std::string& name, const std::vector<std::string>& inputs) {
  return append({name, NodeKind::concat, 0, indices_of(name, inputs)});
}

void Graph::set_output(const std::string& name) {
  output_ = index_of(name);
  output_was_set_ = true;
  planned_ = false;
}

std::size_t Graph::index_of(const std::string& name) const {
  const auto place = places_.find(name);
  if (place != places_.end()) return place->second;
  std::vector<std::string> names;
  for (const Node& node : nodes_) names.push_back(node.name);
  fail<UsageError>("[{}] there is no node '{}' yet{}", label(), name, did_you_mean(name, names));
}

std::vector<std::size_t> Graph::indices_of(const std::string& name,
                                           const std::vector<std::string>& inputs) const {
  if (name.empty() || name.find('.') != std::string::npos) {
    fail<UsageError>("[{}] expected a node name without dots, got '{}'", label(), name);
  }
  if (places_.contains(name)) {
    fail<UsageError>("[{}] there is a node '{}' already; give each its own name", label(), name);
  }
  if (inputs.empty()) fail<UsageError>("[{}] node '{}' expects at least one input", label(), name);
  std::vector<std::size_t> result;
  for (const std::string& input : inputs) result.push_back(index_of(input));
  return result;
}

Graph& Graph::append(Node node) {
  places_.emplace(node.name, nodes_.size());
  nodes_.push_back(std::move(node));
  if (!output_was_set_) output_ = nodes_.size() - 1;
  planned_ = false;
  return *this;
}

void Graph::plan() {
  if (planned_) return;
  live_.assign(nodes_.size(), false);
  last_use_.assign(nodes_.size(), output_);
  live_[output_] = true;
  for (std::size_t i = output_ + 1; i-- > 0;) {
    if (!live_[i]) continue;
    for (const std::size_t input : nodes_[i].inputs) {
      if (!live_[input]) last_use_[input] = i;
      live_[input] = true;
    }
  }
  wants_.assign(nodes_.size(), false);
  wants_[0] = needs_input_gradient();
  for (std::size_t i = 1; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    const bool needed = std::ranges::any_of(node.inputs, [&](std::size_t j) { return wants_[j]; });
    wants_[i] = needed;
    if (node.kind == NodeKind::module) {
      child(node.child).set_needs_input_gradient(needed);
      wants_[i] = needed || child(node.child).has_parameters();
    }
  }
  planned_ = true;
}

void Graph::set_needs_input_gradient(bool on) {
  Module::set_needs_input_gradient(on);
  planned_ = false;
  plan();
}

std::vector<Shape> Graph::node_shapes(const Shape& input) const {
  std::vector<Shape> shapes{input};
  for (std::size_t i = 1; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    std::vector<Shape> parts;
    for (const std::size_t j : node.inputs) parts.push_back(shapes[j]);
    const std::string what = fmt::format("inputs of node '{}'", node.name);
    switch (node.kind) {
      case NodeKind::input:
        break;
      case NodeKind::module:
        shapes.push_back(child(node.child).output_shape(parts[0]));
        break;
      case NodeKind::sum:
        shapes.push_back(sum_shape(*this, what, parts));
        break;
      case NodeKind::concat:
        shapes.push_back(concat_shape(*this, what, parts));
        break;
      case NodeKind::product:
        shapes.push_back(product_shape(*this, what, parts));
        break;
      case NodeKind::matmul:
        shapes.push_back(matmul_shape(*this, what, parts));
        break;
    }
  }
  return shapes;
}

Shape Graph::output_shape(const Shape& input) const { return node_shapes(input)[output_]; }

std::vector<Shape> Graph::child_inputs(const Shape& input) const {
  const std::vector<Shape> shapes = node_shapes(input);
  std::vector<Shape> result(child_count());
  for (const Node& node : nodes_) {
    if (node.kind == NodeKind::module) result[node.child] = shapes[node.inputs[0]];
  }
  return result;
}

Tensor Graph::run_forward(Tensor x) {
  plan();
  std::vector<std::pair<Kept, Kept>> factors;
  std::vector<Shape> shapes = node_shapes(x.shape());
  std::vector<Tensor> values(nodes_.size());
  const Layout layout = x.layout();
  values[0] = std::move(x);
  for (std::size_t i = 1; i <= output_; ++i) {
    if (!live_[i]) continue;
    const Node& node = nodes_[i];
    std::vector<Tensor> parts;
    for (const std::size_t j : node.inputs) parts.push_back(values[j]);
    for (const std::size_t j : node.inputs) {
      if (last_use_[j] == i && j != output_) values[j] = Tensor();
    }
    if (node.kind == NodeKind::module) {
      values[i] = forward_child(node.child, std::move(parts[0]));
    } else if (node.kind == NodeKind::concat) {
      values[i] = concat(shapes[i], std::move(parts));
    } else if (is_product(node)) {
      values[i] = node.kind == NodeKind::product ? product(shapes[i], parts[0], parts[1])
                                                 : matmul(shapes[i], parts[0], parts[1]);
      if (recording()) factors.emplace_back(Kept(parts[0]), Kept(parts[1]));
    } else {
      values[i] = parts[0];
      for (std::size_t k = 1; k < parts.size(); ++k) values[i] = sum(values[i], parts[k]);
    }
  }
  if (recording()) {
    saved_.push({std::move(shapes), layout, values[output_].dtype(), std::move(factors)});
  }
  return values[output_];
}

void Graph::expect_forward() {
  plan();
  Module::expect_forward();
  for (std::size_t i = 1; i <= output_; ++i) {
    if (nodes_[i].kind == NodeKind::module && live_[i] && wants_[i]) {
      child(nodes_[i].child).expect_forward();
    }
  }
}

Tensor Graph::run_backward(Tensor dy) {
  const Saved& saved = saved_.top(*this);
  std::vector<Tensor> gradients(nodes_.size());
  gradients[output_] = expect_gradient(*this, dy, saved.shapes[output_], saved.dtype, dy.layout());
  dy = Tensor();
  std::size_t products = saved.factors.size();
  for (std::size_t i = output_; i > 0; --i) {
    if (live_[i] && is_product(nodes_[i])) --products;
    if (!live_[i] || !wants_[i]) continue;
    pass_back(nodes_[i], std::exchange(gradients[i], Tensor()), saved, products, gradients);
  }
  Tensor dx = needs_input_gradient() ? gradients[0].to(saved.layout) : Tensor();
  saved_.pop();
  return dx;
}

void Graph::pass_back(const Node& node, Tensor dy, const Saved& saved, std::size_t product,
                      std::vector<Tensor>& gradients) {
  const auto give = [&](std::size_t j, Tensor gradient) {
    if (wants_[j]) gradients[j] = sum_of_gradients(std::move(gradients[j]), std::move(gradient));
  };
  if (node.kind == NodeKind::module) {
    give(node.inputs[0], backward_child(node.child, std::move(dy)));
  } else if (node.kind == NodeKind::sum) {
    for (const std::size_t j : node.inputs) give(j, dy);
  } else if (is_product(node)) {
    const Tensor a = saved.factors[product].first.tensor();
    const Tensor b = saved.factors[product].second.tensor();
    if (node.kind == NodeKind::matmul) {
      auto [da, db] = matmul_gradients(dy, a, b);
      give(node.inputs[0], std::move(da));
      give(node.inputs[1], std::move(db));
      return;
    }
    if (wants_[node.inputs[0]]) give(node.inputs[0], factor_gradient(dy, b, a));
    if (wants_[node.inputs[1]]) give(node.inputs[1], factor_gradient(dy, a, b));
  } else {
    std::vector<Shape> parts;
    for (const std::size_t j : node.inputs) parts.push_back(saved.shapes[j]);
    const std::vector<Tensor> split_gradients = split(dy, parts);
    for (std::size_t k = 0; k < parts.size(); ++k) give(node.inputs[k], split_gradients[k]);
  }
}

}  // namespace evenkeel::nn
