#include <algorithm>
#include <tuple>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {
namespace {

std::string join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

/// FNV-1a: the stream of a module's initial values depends on its path alone.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return hash;
}

}  // namespace

Module::Module(const Module& other)
    : training_(other.training_),
      path_(other.path_),
      lengths_(other.lengths_),
      keep_(other.keep_),
      needs_input_gradient_(other.needs_input_gradient_) {
  for (const auto& [name, parameter] : other.parameters_) {
    auto copy = std::make_unique<Parameter>(*parameter);
    copy->value = parameter->value.clone();
    copy->grad = parameter->grad.clone();
    parameters_.emplace_back(name, std::move(copy));
  }
  for (const auto& [name, buffer] : other.buffers_) {
    buffers_.emplace_back(
        name, std::make_unique<Buffer>(Buffer{buffer->value.clone(), buffer->exported}));
  }
  for (const auto& [name, child] : other.children_) children_.emplace_back(name, child->clone());
}

void Module::reset_parameters(Random& /*random*/) {}

void Module::train(bool on) {
  on_train(on);
  for (auto& [name, child] : children_) child->train(on);
}

void Module::keep_for_backward(bool on) {
  keep_ = on;
  for (auto& [name, child] : children_) child->keep_for_backward(on);
}

void Module::set_lengths(const Lengths& lengths) {
  lengths_ = lengths;
  for (auto& [name, child] : children_) child->set_lengths(lengths);
}

LengthsScope::LengthsScope(Module& network, const Lengths& lengths)
    : network_(network), before_(network.lengths()) {
  network_.set_lengths(lengths);
}

LengthsScope::~LengthsScope() { network_.set_lengths(before_); }

void fail_without_forward(const Module& module) {
  fail<StateError>(
      "[{}] backward without a forward to take back; call forward in training mode first, or "
      "keep_for_backward() in eval mode",
      module.label());
}

void Module::expect_forward() {
  const SavedBase* const saved = own_saved();
  if (saved != nullptr && saved->size() == 0) fail_without_forward(*this);
}

void Module::clear_saved() {
  if (SavedBase* const saved = own_saved()) saved->shrink(0);
  clear_own_rest();
  for (auto& [name, child] : children_) child->clear_saved();
}

bool Module::has_parameters() const {
  return !parameters_.empty() || std::ranges::any_of(children_, [](const auto& entry) {
    return entry.second->has_parameters();
  });
}

void Module::set_watch(Watch watch) {
  watch_ =
      watch.forward || watch.backward ? std::make_unique<const Watch>(std::move(watch)) : nullptr;
}

const Watch& Module::watch() const {
  static const Watch none;
  return watch_ != nullptr ? *watch_ : none;
}

void Module::initialize(std::uint64_t seed) {
  visit([seed](const std::string& path, Module& module) {
    Random random(seed, hash_of(path));
    module.reset_parameters(random);
  });
}

void Module::zero_grad() {
  for (auto& [name, parameter] : parameters()) parameter->grad.fill(0);
}

void Module::to(DType dtype) {
  if (dtype != DType::f32 && dtype != DType::f64) {
    fail<UsageError>("[{}] parameters are f32 or f64, not {}{}", label(), name_of(dtype),
                     dtype == DType::bf16 ? "; f32 ones go with bf16 inputs" : "");
  }
  const std::vector<NamedParameter> named = parameters();
  std::vector<std::pair<Tensor, Tensor>> converted;
  for (const auto& [name, parameter] : named) {
    converted.emplace_back(parameter->value.to(dtype), parameter->grad.to(dtype));
  }
  clear_saved();
  for (std::size_t i = 0; i < named.size(); ++i) {
    std::tie(named[i].parameter->value, named[i].parameter->grad) = std::move(converted[i]);
  }
}

std::vector<NamedParameter> Module::parameters() {
  std::vector<NamedParameter> result;
  collect("", result);
  return result;
}

std::vector<NamedBuffer> Module::buffers() {
  std::vector<NamedBuffer> result;
  collect("", result);
  return result;
}

std::int64_t Module::parameter_count() {
  std::int64_t count = 0;
  for (const auto& [name, parameter] : parameters()) {
    if (parameter->trainable) count += parameter->value.numel();
  }
  return count;
}

StateDict Module::state_dict(bool exported_only) {
  StateDict result;
  visit([&](const std::string& path, Module& module) {
    for (auto& [name, parameter] : module.parameters_) {
      result.emplace_back(join(path, name), parameter->value);
    }
    for (auto& [name, buffer] : module.buffers_) {
      if (buffer->exported || !exported_only) result.emplace_back(join(path, name), buffer->value);
    }
  });
  return result;
}

void Module::load_state_dict(const StateDict& state) {
  std::map<std::string, Tensor> given;
  for (const auto& [name, tensor] : state) given[name] = tensor;
  std::map<std::string, Tensor> internal;
  for (const auto& [name, buffer] : buffers()) {
    if (!buffer->exported) internal[name] = buffer->value;
  }
  const StateDict own = state_dict();
  for (const auto& [name, tensor] : own) {
    const auto it = given.find(name);
    if (it == given.end()) {
      if (internal.count(name) != 0) continue;  // a state dict from elsewhere does not have it
      fail<Error>("[{}] the state has no tensor '{}'", label(), name);
    }
    if (it->second.shape() != tensor.shape()) {
      fail<ShapeError>("[{}] '{}' has shape {}, expected {}", label(), name,
                       it->second.shape().str(), tensor.shape().str());
    }
  }
  for (const auto& [name, tensor] : state) {
    const bool known = std::ranges::any_of(
        own, [&wanted = name](const auto& entry) { return entry.first == wanted; });
    if (!known) {
      std::vector<std::string> names;
      for (const auto& entry : own) names.push_back(entry.first);
      fail<Error>("[{}] the state has a tensor '{}' that the network lacks{}", label(), name,
                  did_you_mean(name, names));
    }
  }
  for (auto [name, tensor] : own) {
    const auto it = given.find(name);
    if (it != given.end()) tensor.copy_from(it->second);
  }
}

void Module::visit(const std::function<void(const std::string&, Module&)>& f) {
  std::function<void(const std::string&, Module&)> walk = [&](const std::string& path,
                                                              Module& module) {
    f(path, module);
    for (auto& [name, child] : module.children_) walk(join(path, name), *child);
  };
  walk("", *this);
}

std::string Module::label() const {
  return path_.empty() ? std::string(type()) : fmt::format("{} {}", type(), path_);
}

Module::Id Module::register_parameter(std::string name, const Shape& shape, ParameterKind kind) {
  auto parameter = std::make_unique<Parameter>();
  parameter->value = Tensor::zeros(shape);
  parameter->grad = Tensor::zeros(shape);
  parameter->kind = kind;
  parameters_.emplace_back(std::move(name), std::move(parameter));
  return parameters_.size() - 1;
}

Module::Id Module::register_buffer(std::string name, Tensor value, bool exported) {
  buffers_.emplace_back(std::move(name),
                        std::make_unique<Buffer>(Buffer{std::move(value), exported}));
  return buffers_.size() - 1;
}

Module& Module::register_child(std::string name, std::unique_ptr<Module> child) {
  children_.emplace_back(std::move(name), std::move(child));
  Module& added = *children_.back().second;
  added.set_path(join(path_, children_.back().first));
  return added;
}

std::size_t Module::checked(std::size_t i) const {
  if (i < children_.size()) return i;
  fail<UsageError>("[{}] expected one of {} children, got number {}", label(), children_.size(), i);
}

void Module::replace_child(std::size_t i, std::unique_ptr<Module> child) {
  children_[checked(i)].second = std::move(child);
  set_path(path_);
}

void Module::set_path(const std::string& path) {
  path_ = path;
  for (auto& [name, child] : children_) child->set_path(join(path, name));
}

void Module::collect(const std::string& prefix, std::vector<NamedParameter>& out) {
  for (auto& [name, parameter] : parameters_) out.push_back({join(prefix, name), parameter.get()});
  for (auto& [name, child] : children_) child->collect(join(prefix, name), out);
}

void Module::collect(const std::string& prefix, std::vector<NamedBuffer>& out) {
  for (auto& [name, buffer] : buffers_) out.push_back({join(prefix, name), buffer.get()});
  for (auto& [name, child] : children_) child->collect(join(prefix, name), out);
}

}  // namespace evenkeel::nn
