// From bytes to a checked model.

#include <algorithm>
#include <limits>

#include "deploy/onnx/model.h"
#include "deploy/onnx/tensor.h"
#include "onnx.pb.h"
#include <evenkeel/io/file.h>

namespace evenkeel::deploy {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kOldestOpset = 7, kNewestOpset = 21;
/// protobuf's own limit.
constexpr std::size_t kLargestFile = std::numeric_limits<std::int32_t>::max();

proto::Model parse(const fs::path& path, const io::Origin& origin) {
  const std::vector<std::byte> bytes = io::read_file(path, kLargestFile);
  proto::Model message;
  if (bytes.empty()) origin.refuse("the file is empty");
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    origin.refuse("it is no ONNX model, or it is damaged");
  }
  return message;
}

bool is_default(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

std::int64_t opset_of(const proto::Model& message, const io::Origin& origin) {
  std::optional<std::int64_t> opset;
  for (const proto::OperatorSet& set : message.opset_import()) {
    if (is_default(set.domain())) opset = set.version();
  }
  if (!opset) origin.refuse("it does not say which operator set it uses");
  if (*opset < kOldestOpset || *opset > kNewestOpset) {
    origin.refuse("it uses operator set {}; supported are {} to {}", *opset, kOldestOpset,
                  kNewestOpset);
  }
  return *opset;
}

Attribute take_attribute(proto::Attribute& message, const fs::path& folder,
                         const io::Origin& origin) {
  using Kind = Attribute::Kind;
  // Old writers leave the type out.
  enum Type { none = 0, real = 1, integer = 2, text = 3, tensor = 4, reals = 6, integers = 7 };
  int type = message.type();
  if (type == none) {
    type = message.has_f()             ? real
           : message.has_i()           ? integer
           : message.has_s()           ? text
           : message.has_t()           ? tensor
           : message.floats_size() > 0 ? reals
           : message.ints_size() > 0   ? integers
                                       : none;
  }
  if (message.has_ref_attr_name()) origin.refuse("it refers to an attribute of a function");
  Attribute result;
  switch (type) {
    case real:
      result.kind = Kind::real;
      result.real = static_cast<double>(message.f());
      break;
    case integer:
      result.kind = Kind::integer;
      result.integer = message.i();
      break;
    case text:
      result.kind = Kind::text;
      result.text = message.s();
      break;
    case tensor:
      result.kind = Kind::tensor;
      result.tensor = take_tensor(*message.mutable_t(), folder, origin);
      break;
    case reals:
      result.kind = Kind::reals;
      for (const float value : message.floats()) result.reals.push_back(static_cast<double>(value));
      break;
    case integers:
    case none:
      result.kind = Kind::integers;
      result.integers.assign(message.ints().begin(), message.ints().end());
      break;
    default:
      // Lists of strings, subgraphs and the like: no operator here has any.
      result.kind = Kind::none;
  }
  return result;
}

OnnxNode take_node(proto::Node& message, const fs::path& folder, const io::Origin& origin) {
  OnnxNode node;
  node.name = message.name();
  node.type = message.op_type();
  node.inputs.assign(message.input().begin(), message.input().end());
  node.outputs.assign(message.output().begin(), message.output().end());
  const io::Origin place = place_of(origin, node);
  if (node.type.empty()) place.refuse("it has no operator type");
  if (!is_default(message.domain())) {
    place.refuse("operators of the domain {} are not supported", io::quote(message.domain()));
  }
  for (proto::Attribute& attribute : *message.mutable_attribute()) {
    const io::Origin part = place.part("attribute", attribute.name());
    if (!node.attributes.emplace(attribute.name(), take_attribute(attribute, folder, part))
             .second) {
      part.refuse("it is there twice");
    }
  }
  return node;
}

OnnxValue value_of(const proto::ValueInfo& message, const io::Origin& origin) {
  OnnxValue value;
  value.name = message.name();
  if (value.name.empty()) origin.refuse("a graph input or output has no name");
  if (!message.type().has_tensor_type()) return value;
  const proto::TensorType& type = message.type().tensor_type();
  value.type = static_cast<OnnxType>(type.elem_type());
  if (!type.has_shape()) return value;
  value.dims.emplace();
  for (const proto::Dimension& dim : type.shape().dim()) {
    std::optional<std::int64_t> extent;
    // Some writers say 0 for what is open.
    if (dim.has_dim_value() && dim.dim_value() > 0) extent = dim.dim_value();
    if (dim.has_dim_value() && dim.dim_value() < 0) {
      origin.part("value", value.name).refuse("it has a negative extent, {}", dim.dim_value());
    }
    value.dims->push_back(extent);
  }
  if (value.dims->size() > Shape::kMaxRank) {
    origin.part("value", value.name)
        .refuse("it has {} dimensions, at most {} are possible", value.dims->size(),
                Shape::kMaxRank);
  }
  return value;
}

/// Who writes each value; graph inputs and initializers are written by nobody.
constexpr std::size_t kGiven = std::numeric_limits<std::size_t>::max();
using Writers = std::unordered_map<std::string, std::size_t>;

Writers writers_of(const OnnxModel& model, const io::Origin& origin) {
  Writers writers;
  for (const auto& [name, tensor] : model.initializers) writers.emplace(name, kGiven);
  for (const OnnxValue& input : model.inputs) {
    if (!writers.emplace(input.name, kGiven).second) {
      origin.refuse("two inputs are called {}", io::quote(input.name));
    }
  }
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    for (const std::string& output : model.nodes[i].outputs) {
      if (output.empty() || writers.emplace(output, i).second) continue;
      place_of(origin, model.nodes[i])
          .refuse("its output {} is defined twice; give each value its own name",
                  io::quote(output));
    }
  }
  return writers;
}

/// Each node behind those it reads; otherwise in the file's order.
void sort_nodes(OnnxModel& model, const io::Origin& origin) {
  const Writers writers = writers_of(model, origin);
  const std::size_t count = model.nodes.size();
  std::vector<std::vector<std::size_t>> readers(count);
  std::vector<std::size_t> waits(count, 0);
  bool sorted = true;
  for (std::size_t i = 0; i < count; ++i) {
    for (const std::string& input : model.nodes[i].inputs) {
      if (input.empty()) continue;
      const auto writer = writers.find(input);
      if (writer == writers.end()) {
        place_of(origin, model.nodes[i])
            .refuse("its input {} is defined by nothing in the model", io::quote(input));
      }
      if (writer->second == kGiven) continue;
      readers[writer->second].push_back(i);
      ++waits[i];
      sorted = sorted && writer->second < i;
    }
  }
  for (const OnnxValue& output : model.outputs) {
    if (!writers.contains(output.name)) {
      origin.refuse("its output {} is defined by nothing in the model", io::quote(output.name));
    }
  }
  if (sorted) return;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < count; ++i) {
    if (waits[i] == 0) order.push_back(i);
  }
  for (std::size_t k = 0; k < order.size(); ++k) {
    for (const std::size_t reader : readers[order[k]]) {
      if (--waits[reader] == 0) order.push_back(reader);
    }
  }
  if (order.size() != count) {
    const auto stuck = std::ranges::find_if(waits, [](std::size_t n) { return n > 0; });
    place_of(origin, model.nodes[static_cast<std::size_t>(stuck - waits.begin())])
        .refuse("it depends on its own output; a network has no cycles");
  }
  std::vector<OnnxNode> nodes;
  for (const std::size_t i : order) nodes.push_back(std::move(model.nodes[i]));
  model.nodes = std::move(nodes);
}

}  // namespace

io::Origin place_of(const io::Origin& origin, const OnnxNode& node) {
  const std::string& name =
      !node.name.empty() || node.outputs.empty() ? node.name : node.outputs.front();
  return origin.part(node.type.empty() ? "node" : io::quote(node.type, 40) + " node", name);
}

OnnxModel read_onnx(const fs::path& path) {
  const io::Origin origin("onnx", path);
  proto::Model message = parse(path, origin);
  if (!message.has_graph()) origin.refuse("it holds no graph");
  OnnxModel model;
  model.opset = opset_of(message, origin);
  model.producer = message.producer_name();
  if (message.functions_size() > 0) origin.refuse("it defines functions, which are not supported");
  proto::Graph& graph = *message.mutable_graph();
  if (graph.sparse_initializer_size() > 0) {
    origin.refuse("it has sparse initializers; save them dense");
  }
  for (const proto::StringPair& entry : message.metadata_props()) {
    model.metadata[entry.key()] = entry.value();
  }
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (proto::Tensor& initializer : *graph.mutable_initializer()) {
    const std::string name = initializer.name();
    const io::Origin place = origin.part("tensor", name);
    if (name.empty()) place.refuse("an initializer needs a name");
    if (!model.initializers.emplace(name, take_tensor(initializer, folder, place)).second) {
      place.refuse("it is there twice");
    }
  }
  for (const proto::ValueInfo& input : graph.input()) {
    if (!model.initializers.contains(input.name())) {
      model.inputs.push_back(value_of(input, origin));
    }
  }
  for (const proto::ValueInfo& output : graph.output()) {
    model.outputs.push_back(value_of(output, origin));
  }
  for (proto::Node& node : *graph.mutable_node()) {
    model.nodes.push_back(take_node(node, folder, origin));
  }
  sort_nodes(model, origin);
  return model;
}

}  // namespace evenkeel::deploy
