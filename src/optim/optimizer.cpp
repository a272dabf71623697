#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <evenkeel/core/error.h>
#include <evenkeel/optim/optimizer.h>

namespace evenkeel::optim {
namespace {

void check_group(const ParameterGroup& group) {
  if (!(group.weight_decay >= 0) || !std::isfinite(group.weight_decay)) {
    fail<UsageError>("[optimizer] expected a weight decay of 0 or more, got {}",
                     group.weight_decay);
  }
  if (!(group.lr_scale >= 0) || !std::isfinite(group.lr_scale)) {
    fail<UsageError>("[optimizer] expected a factor on the learning rate of 0 or more, got {}",
                     group.lr_scale);
  }
}

void check_dtype(const nn::NamedParameter& named) {
  const DType dtype = named.parameter->value.dtype();
  if (dtype != DType::f32 && dtype != DType::f64) {
    fail<ShapeError>("[optimizer] expected parameters of type f32 or f64, '{}' has {}", named.name,
                     name_of(dtype));
  }
}

}  // namespace

Optimizer::Optimizer(std::vector<ParameterGroup> groups, std::vector<std::string> slots)
    : groups_(std::move(groups)), slots_(std::move(slots)) {
  std::set<std::string> names;
  std::set<const nn::Parameter*> seen;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    check_group(groups_[g]);
    for (const nn::NamedParameter& named : groups_[g].parameters) {
      check_dtype(named);
      if (!names.insert(named.name).second || !seen.insert(named.parameter).second) {
        fail<UsageError>("[optimizer] the parameter '{}' is given twice; name it in one group only",
                         named.name);
      }
      Entry entry{named, g, {}};
      const Tensor& value = named.parameter->value;
      for (std::size_t s = 0; s < slots_.size(); ++s) {
        entry.state.push_back(Tensor::zeros(value.shape(), value.dtype()));
      }
      entries_.push_back(std::move(entry));
    }
  }
  step_ = Tensor::zeros({1}, DType::i64);
  updates_ = Tensor::zeros({static_cast<std::int64_t>(entries_.size())}, DType::i64);
}

std::int64_t Optimizer::steps() const { return *step_.data<std::int64_t>(); }

void Optimizer::step(double lr) {
  if (!(lr >= 0) || !std::isfinite(lr)) {
    fail<UsageError>("[optimizer] expected a finite learning rate of 0 or more, got {}", lr);
  }
  for (const Entry& entry : entries_) {
    const nn::Parameter& parameter = *entry.named.parameter;
    if (parameter.grad.shape() != parameter.value.shape() ||
        parameter.grad.dtype() != parameter.value.dtype()) {
      fail<ShapeError>("[optimizer] expected a gradient {} {} like '{}', got {} {}",
                       name_of(parameter.value.dtype()), parameter.value.shape().str(),
                       entry.named.name, name_of(parameter.grad.dtype()),
                       parameter.grad.shape().str());
    }
    for (const Tensor& state : entry.state) {
      if (state.shape() != parameter.value.shape() || state.dtype() != parameter.value.dtype()) {
        fail<StateError>(
            "[optimizer] '{}' was {} {} when the optimizer was made and is {} {} now; make the "
            "optimizer after such changes",
            entry.named.name, name_of(state.dtype()), state.shape().str(),
            name_of(parameter.value.dtype()), parameter.value.shape().str());
      }
    }
  }
  std::int64_t* const updates = updates_.data<std::int64_t>();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    nn::Parameter& parameter = *entry.named.parameter;
    if (!parameter.trainable || parameter.value.numel() == 0) continue;
    const ParameterGroup& group = groups_[entry.group];
    update(parameter, {lr * group.lr_scale, group.weight_decay, ++updates[i], entry.state});
  }
  ++*step_.data<std::int64_t>();
}

nn::StateDict Optimizer::state_dict() const {
  nn::StateDict result{{"step", step_}, {"updates", updates_}};
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    for (const Entry& entry : entries_) {
      result.emplace_back(slots_[s] + "." + entry.named.name, entry.state[s]);
    }
  }
  return result;
}

void Optimizer::load_state_dict(const nn::StateDict& state) {
  std::map<std::string, Tensor> given;
  for (const auto& [name, tensor] : state) given[name] = tensor;
  nn::StateDict own = state_dict();
  std::vector<std::string> names;
  for (const auto& [name, tensor] : own) {
    names.push_back(name);
    const auto it = given.find(name);
    if (it == given.end()) {
      fail<Error>("[optimizer] the state has no tensor '{}': it is not one of this {} and network",
                  name, type());
    }
    if (it->second.shape() != tensor.shape() || it->second.dtype() != tensor.dtype()) {
      fail<ShapeError>("[optimizer] '{}' is {} {}, expected {} {}", name,
                       name_of(it->second.dtype()), it->second.shape().str(),
                       name_of(tensor.dtype()), tensor.shape().str());
    }
  }
  for (const auto& [name, tensor] : state) {
    if (std::ranges::find(names, name) == names.end()) {
      fail<Error>("[optimizer] the state has a tensor '{}' that this {} lacks{}", name, type(),
                  did_you_mean(name, names));
    }
  }
  for (auto& [name, tensor] : own) tensor.copy_from(given.at(name));
}

}  // namespace evenkeel::optim
