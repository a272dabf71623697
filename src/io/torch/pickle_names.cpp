// What a pickle may name, and what stands for it: nothing is looked up anywhere else.

#include <algorithm>
#include <array>

#include "io/torch/pickle.h"

namespace evenkeel::io {

void Pickle::find_name(std::string_view module, std::string_view name) {
  struct Known {
    std::string_view module, name;
    Callable callable;
  };
  static constexpr std::array kKnown = {
      Known{"collections", "OrderedDict", Callable::ordered_dict},
      Known{"torch._utils", "_rebuild_tensor_v2", Callable::tensor},
      Known{"torch._utils", "_rebuild_tensor", Callable::tensor},
      Known{"torch._utils", "_rebuild_parameter", Callable::parameter},
      Known{"torch", "Size", Callable::size},
  };
  for (const Known& known : kKnown) {
    if (known.module == module && known.name == name) {
      push({.kind = Kind::name, .number = static_cast<std::int64_t>(known.callable)});
      return;
    }
  }
  if (const TorchType* type = module == "torch" ? find_torch_type(name) : nullptr) {
    push({.kind = Kind::type, .element = type});
    return;
  }
  const std::string full = quote(std::string(module) + "." + std::string(name));
  if (module == "torch" && name.ends_with("Storage")) {
    origin_.refuse(
        "expected elements of f32, f64, f16, bf16, integers or bool, got {}; convert "
        "the tensor before saving it",
        full);
  }
  origin_.refuse(
      "the file asks for {}, which is no tensor, and nothing of a file is ever executed; "
      "save model.state_dict() alone with torch.save",
      full);
}

void Pickle::call() {
  const Value& arguments = values_[pop()];
  const Value& callee = values_[pop()];
  if (callee.kind != Kind::name || arguments.kind != Kind::tuple) {
    origin_.refuse("the pickle calls what is no function; the file is damaged");
  }
  const std::vector<Id>& items = arguments.items;
  switch (static_cast<Callable>(callee.number)) {
    case Callable::ordered_dict:
      if (!items.empty()) origin_.refuse("expected an OrderedDict without arguments, got some");
      push({.kind = Kind::dict});
      return;
    case Callable::tensor:
      return build_tensor(arguments);
    case Callable::parameter:
      if (items.empty() || values_[items[0]].kind != Kind::tensor) {
        origin_.refuse("expected a parameter of a tensor, got something else");
      }
      stack_.push_back(items[0]);
      return;
    case Callable::size:
      if (items.size() != 1 || values_[items[0]].kind != Kind::tuple) {
        origin_.refuse("expected a torch.Size of a tuple, got something else");
      }
      stack_.push_back(items[0]);
      return;
  }
}

void Pickle::build_tensor(const Value& arguments) {
  constexpr std::array kParts = {Kind::storage, Kind::integer, Kind::tuple, Kind::tuple};
  const std::vector<Id>& items = arguments.items;
  bool fits = items.size() >= kParts.size();
  for (std::size_t i = 0; fits && i < kParts.size(); ++i) {
    fits = values_[items[i]].kind == kParts[i];
  }
  if (!fits) {
    origin_.refuse("expected a tensor of storage, offset, shape and strides, got something else");
  }
  push({.kind = Kind::tensor, .items = {items.begin(), items.begin() + kParts.size()}});
}

/// ("storage", class, key, device, elements)
void Pickle::find_storage() {
  const Value& id = values_[pop()];
  const std::vector<Id>& items = id.items;
  const bool fits = id.kind == Kind::tuple && items.size() >= 5 &&
                    values_[items[0]].text == "storage" && values_[items[1]].kind == Kind::type &&
                    values_[items[2]].kind == Kind::text && values_[items[4]].kind == Kind::integer;
  if (!fits) origin_.refuse("expected a storage of class, key and size, got something else");
  push({.kind = Kind::storage,
        .number = values_[items[4]].number,
        .text = values_[items[2]].text,
        .element = values_[items[1]].element});
}

/// Attributes of a dict (PyTorch's _metadata) are passed over.
void Pickle::build() {
  pop();
  open(Kind::dict, "dict");
}

}  // namespace evenkeel::io
