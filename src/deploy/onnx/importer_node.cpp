// The inputs and attributes of the node at hand.

#include "deploy/onnx/importer.h"

namespace evenkeel::deploy {

bool Importer::has(std::size_t input) const {
  return input < node_->inputs.size() && !node_->inputs[input].empty();
}

const Value& Importer::input(std::size_t input) const {
  if (!has(input)) refuse("it needs {} inputs or more, it has {}", input + 1, node_->inputs.size());
  return value_of(node_->inputs[input]);
}

const Value& Importer::value_of(const std::string& name) const {
  const auto it = values_.find(name);
  if (it == values_.end()) {
    refuse("it reads {}, an output that is not computed here", io::quote(name));
  }
  return it->second;
}

Tensor Importer::constant(std::size_t index, std::string_view what) const {
  const Value& value = input(index);
  if (!value.is_constant()) {
    refuse("its {} {} is computed from the network's input; only constants are supported", what,
           io::quote(node_->inputs[index]));
  }
  if (!value.is_fixed()) {
    refuse("its {} {} depends on the batch", what, io::quote(node_->inputs[index]));
  }
  return value.constant[0];
}

std::vector<std::int64_t> integers_of(const Tensor& tensor) {
  const Tensor wide = tensor.to(DType::i64);
  const auto values = std::as_const(wide).span<std::int64_t>();
  return {values.begin(), values.end()};
}

std::vector<std::int64_t> Importer::integers(std::size_t index, std::string_view what) const {
  const Tensor tensor = constant(index, what);
  if (tensor.dtype() == DType::f32 || tensor.dtype() == DType::f64) {
    refuse("its {} are not integers", what);
  }
  return integers_of(tensor);
}

const Attribute* Importer::find_attribute(const std::string& name) const {
  const auto it = node_->attributes.find(name);
  return it == node_->attributes.end() ? nullptr : &it->second;
}

std::int64_t Importer::attribute(const std::string& name, std::int64_t fallback) const {
  const Attribute* const found = find_attribute(name);
  if (found == nullptr) return fallback;
  if (found->kind != Attribute::Kind::integer) {
    refuse("its attribute {} is no integer", io::quote(name));
  }
  return found->integer;
}

double Importer::attribute(const std::string& name, double fallback) const {
  const Attribute* const found = find_attribute(name);
  if (found == nullptr) return fallback;
  if (found->kind != Attribute::Kind::real) {
    refuse("its attribute {} is no number", io::quote(name));
  }
  return found->real;
}

std::string Importer::attribute(const std::string& name, const std::string& fallback) const {
  const Attribute* const found = find_attribute(name);
  if (found == nullptr) return fallback;
  if (found->kind != Attribute::Kind::text) refuse("its attribute {} is no text", io::quote(name));
  return found->text;
}

std::vector<std::int64_t> Importer::attribute(const std::string& name,
                                              const std::vector<std::int64_t>& fallback) const {
  const Attribute* const found = find_attribute(name);
  if (found == nullptr) return fallback;
  if (found->kind != Attribute::Kind::integers) {
    refuse("its attribute {} is no list of integers", io::quote(name));
  }
  return found->integers;
}

std::int64_t Importer::dimension(std::int64_t dim, int rank, std::string_view what) const {
  if (dim < -rank || dim >= rank) {
    refuse("its {} {} does not fit {} dimensions", what, dim, rank);
  }
  return dim < 0 ? dim + rank : dim;
}

}  // namespace evenkeel::deploy
