#include "deploy/onnx/importer.h"

#include <algorithm>

#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/reshape.h>

namespace evenkeel::deploy {
namespace {

/// Elements of all constants that are computed: many times what exporters leave to be computed.
constexpr std::int64_t kMostFolded = std::int64_t{1} << 28;

/// ONNX folds the biased variance into the running one; PyTorch, whose models say so, the unbiased.
bool unbiased_statistics(const OnnxModel& model) {
  const auto said = model.metadata.find(kRunningVariance);
  if (said != model.metadata.end()) return said->second == "unbiased";
  return model.producer == "pytorch";
}

}  // namespace

bool Value::is_fixed() const { return is_constant() && constant[0].raw() == constant[1].raw(); }

Importer::Importer(const io::Origin& origin, OnnxModel& model)
    : origin_(origin), model_(model), unbiased_(unbiased_statistics(model)) {}

Value Importer::constant_value(Constants constants, bool learned) {
  // One handle for both where nothing depends on the batch.
  const Tensor &a = constants[0], &b = constants[1];
  const bool same =
      a.raw() == b.raw() ||
      (a.shape() == b.shape() && a.dtype() == b.dtype() &&
       std::ranges::equal(std::span(static_cast<const std::byte*>(a.raw()), a.bytes()),
                          std::span(static_cast<const std::byte*>(b.raw()), b.bytes())));
  Value value;
  value.shapes = {a.shape(), b.shape()};
  value.node_shapes = value.shapes;
  value.learned = learned;
  value.constant = same ? Constants{a, a} : constants;
  return value;
}

std::unique_ptr<nn::Graph> Importer::build(const Shapes& input, const std::string& output) {
  graph_ = std::make_unique<nn::Graph>();
  values_.clear();
  settled_.clear();
  names_ = UniqueNames({"input"});
  training_norms_.clear();
  folded_ = 0;
  used_ = needed_for(output);
  if (model_.inputs.front().type == OnnxType::float64) dtype_ = DType::f64;
  Value& in = values_[model_.inputs.front().name];
  in.node = "input";
  in.node_shapes = in.shapes = input;
  for (const auto& [name, tensor] : model_.initializers) {
    values_.emplace(name, constant_value({tensor, tensor}, true));
  }
  for (const OnnxNode& node : model_.nodes) {
    if (std::ranges::any_of(node.outputs, [&](const auto& o) { return used_.contains(o); })) {
      run(node);
    }
  }
  const auto found = values_.find(output);
  if (found == values_.end()) {
    origin_.refuse("its output {} is one that is not computed here", io::quote(output));
  }
  const Value& result = found->second;
  if (result.is_constant()) {
    origin_.refuse("its output {} does not depend on its input", io::quote(output));
  }
  graph_->set_output(settled(result));
  graph_->to(dtype_);
  graph_->eval();
  return std::move(graph_);
}

Tensor Importer::compute(const std::string& output) {
  values_.clear();
  used_ = needed_for(output);
  for (const auto& [name, tensor] : model_.initializers) {
    values_.emplace(name, constant_value({tensor, tensor}, true));
  }
  for (const OnnxNode& node : model_.nodes) {
    node_ = &node;
    if (std::ranges::none_of(node.outputs, [&](const auto& o) { return used_.contains(o); })) {
      continue;
    }
    if (!all_constant()) return {};
    fold();
  }
  return values_.at(output).constant[0];
}

/// The names of all values that the output depends on, itself included.
std::unordered_set<std::string> Importer::needed_for(const std::string& output) const {
  std::unordered_set<std::string> needed{output};
  for (auto node = model_.nodes.rbegin(); node != model_.nodes.rend(); ++node) {
    if (std::ranges::none_of(node->outputs, [&](const auto& o) { return needed.contains(o); })) {
      continue;
    }
    needed.insert(node->inputs.begin(), node->inputs.end());
  }
  needed.erase("");
  return needed;
}

void Importer::run(const OnnxNode& node) {
  node_ = &node;
  const Operator* const op = find_operator(node.type);
  if (op == nullptr) {
    refuse("the operator {} is not supported; docs/onnx.md lists those that are",
           io::quote(node.type));
  }
  try {
    // The shape of a value is a constant even where the value is not.
    if (node.type != "Shape" && all_constant()) {
      fold();
    } else if (op->build != nullptr) {
      op->build(*this);
    } else {
      refuse("the operator {} is supported only where all it reads is constant",
             io::quote(node.type));
    }
  } catch (const IoError&) {
    throw;
  } catch (const Error& error) {
    // Of a layer: what it says of its options or shapes.
    refuse("{}", error.what());
  }
}

bool Importer::all_constant() const {
  return std::ranges::all_of(node_->inputs, [&](const std::string& name) {
    return name.empty() || value_of(name).is_constant();
  });
}

void Importer::fold() {
  const Folder* const folder = find_folder(node_->type);
  if (folder == nullptr) {
    refuse("all it reads is constant, and {} is not computed when a model is read",
           io::quote(node_->type));
  }
  constexpr std::array<std::string_view, 7> kKeep{"Identity",  "Reshape", "Transpose", "Squeeze",
                                                  "Unsqueeze", "Flatten", "Cast"};
  bool learned = std::ranges::find(kKeep, node_->type) != kKeep.end() && has(0) && input(0).learned;
  bool fixed = true;
  Constants results;
  for (std::size_t which = 0; which < kBatches; ++which) {
    if (which > 0 && fixed) {
      results[which] = results[0];
      break;
    }
    std::vector<Tensor> inputs;
    for (const std::string& name : node_->inputs) {
      if (name.empty()) {
        inputs.emplace_back();
        continue;
      }
      const Value& value = value_of(name);
      fixed = fixed && value.is_fixed();
      inputs.push_back(value.constant[which]);
    }
    results[which] = folder->compute(*this, inputs);
    const bool fresh = std::ranges::none_of(inputs, [&](const Tensor& input) {
      return input.defined() && input.raw() == std::as_const(results[which]).raw();
    });
    if (fresh) folded_ += results[which].numel();
  }
  if (folded_ > kMostFolded) {
    refuse("what is computed from constants when the model is read takes too much memory");
  }
  set_output(0, constant_value(std::move(results), learned));
}

bool Importer::output_used(std::size_t output) const {
  return output < node_->outputs.size() && used_.contains(node_->outputs[output]);
}

void Importer::set_output(std::size_t output, Value value) {
  if (output < node_->outputs.size() && !node_->outputs[output].empty()) {
    values_[node_->outputs[output]] = std::move(value);
  }
}

/// After the weight where it is called as PyTorch does, else after the node, else after its output.
std::string Importer::name_for(std::string_view suffix) {
  constexpr std::string_view kWeight = ".weight";
  constexpr std::size_t kLongest = 200;
  std::string name;
  for (const std::string& input : node_->inputs) {
    if (input.ends_with(kWeight) && model_.initializers.contains(input)) {
      name = input.substr(0, input.size() - kWeight.size());
      break;
    }
  }
  if (name.empty()) name = node_->name;
  if (name.empty() && !node_->outputs.empty()) name = node_->outputs.front();
  if (!suffix.empty()) name += "/" + std::string(suffix);
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '.') c = '/';
    if (byte < 0x20 || byte >= 0x7F) c = '_';
  }
  name.erase(0, name.find_first_not_of('/'));
  if (name.empty() || name.size() > kLongest) name = node_->type;
  return names_.take(name);
}

void Importer::check_extents(const Shapes& shapes) const {
  constexpr std::int64_t kLargest = std::int64_t{1} << 40;  // so that sums stay in 64 bits
  for (const Shape& shape : shapes) {
    for (const std::int64_t extent : shape.dims()) {
      if (extent > kLargest) refuse("its result {} is too large", shape.str());
    }
  }
}

Value Importer::added(std::string name, const Shapes& shapes) {
  check_extents(shapes);
  Value value;
  value.node = std::move(name);
  value.node_shapes = value.shapes = shapes;
  return value;
}

std::string Importer::settled(const Value& value) {
  if (value.shapes == value.node_shapes) return value.node;
  std::string& known =
      settled_[fmt::format("{}\n{}\n{}", value.node, value.shapes[0].str(), value.shapes[1].str())];
  if (!known.empty()) return known;
  const Shapes &from = value.node_shapes, &to = value.shapes;
  const auto flat = [&](std::size_t i) {
    return to[i].rank() == 2 && from[i].rank() > 2 && to[i][0] == from[i][0];
  };
  std::string name = name_for("reshape");
  if (flat(0) && flat(1)) {
    graph_->add(name, nn::Flatten(), value.node);
    return known = name;
  }
  std::vector<std::int64_t> dims;
  for (int d = 0; d < to[0].rank(); ++d) dims.push_back(to[0][d] == to[1][d] ? to[0][d] : -1);
  graph_->add(name, nn::Reshape(std::move(dims), false), value.node);
  return known = name;
}

Value Importer::apply(std::unique_ptr<nn::Module> layer, const Value& value,
                      std::string_view suffix) {
  if (value.is_constant()) refuse("its first input is a constant");
  const Shapes shapes =
      shapes_of([&](std::size_t i) { return layer->output_shape(value.shapes[i]); });
  const std::string from = settled(value);
  const std::string name = name_for(suffix);
  graph_->add(name, std::move(layer), from);
  return added(name, shapes);
}

Value Importer::join(Join how, const std::vector<Value>& values, std::string_view suffix) {
  std::vector<std::string> names;
  for (const Value& value : values) names.push_back(settled(value));
  const std::string name = name_for(suffix);
  Shapes shapes = values[0].shapes;
  for (std::size_t i = 0; i < kBatches; ++i) {
    for (std::size_t k = 1; k < values.size(); ++k) {
      const Shape& other = values[k].shapes[i];
      if (how == Join::concat) {
        if (other.rank() != shapes[i].rank() || other.with(1, 0) != shapes[i].with(1, 0)) {
          refuse("its inputs {} and {} do not fit side by side", shapes[i].str(), other.str());
        }
        shapes[i] = shapes[i].with(1, shapes[i][1] + other[1]);
      } else if (how == Join::sum && other != shapes[i]) {
        refuse(
            "the sum of {} and {} is not supported: shapes must be equal (normalization that is "
            "written out may be one operator in an export with operator set 17)",
            shapes[i].str(), other.str());
      } else if (how == Join::matmul) {
        Shape& shape = shapes[i];
        const int rank = shape.rank();
        if (rank < 2 || other.rank() != rank || shape[rank - 1] != other[rank - 2] ||
            shape.with(rank - 1, 0).with(rank - 2, 0) !=
                other.with(rank - 1, 0).with(rank - 2, 0)) {
          refuse("the product of {} and {} is not supported: all but matrices must be equal",
                 shape.str(), other.str());
        }
        shape = shape.with(rank - 1, other[rank - 1]);
      } else if (how == Join::product) {
        if (other.rank() != shapes[i].rank()) {
          refuse("the product of {} and {} is not supported: ranks must be equal", shapes[i].str(),
                 other.str());
        }
        shapes[i] = broadcast_shape(*this, shapes[i], other);
      }
    }
  }
  if (how == Join::sum) graph_->add_sum(name, names);
  if (how == Join::product) graph_->add_product(name, names);
  if (how == Join::matmul) graph_->add_matmul(name, names);
  if (how == Join::concat) graph_->add_concat(name, names);
  return added(name, shapes);
}

Value Importer::reshaped(const Value& value, const Shapes& shapes) const {
  Value result = value;
  result.shapes = shapes;
  if (value.is_constant()) {
    for (std::size_t i = 0; i < kBatches; ++i) {
      result.constant[i] = value.constant[i].reshape(shapes[i]);
    }
    result.node_shapes = shapes;
    return constant_value(result.constant, value.learned);
  }
  int differing = 0;
  for (std::size_t i = 0; i < kBatches; ++i) {
    if (shapes[i].numel() != value.shapes[i].numel()) {
      refuse("the elements of {} do not fit {}", value.shapes[i].str(), shapes[i].str());
    }
  }
  const bool ranks_differ = shapes[0].rank() != shapes[1].rank();
  for (int d = 0; !ranks_differ && d < shapes[0].rank(); ++d) {
    differing += shapes[0][d] != shapes[1][d] ? 1 : 0;
  }
  check_extents(shapes);
  if (ranks_differ || differing > 1) {
    refuse("the batch shapes two dimensions of {}, which is not supported", shapes[0].str());
  }
  return result;
}

}  // namespace evenkeel::deploy
