#include <evenkeel/core/error.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/memory.h>

namespace evenkeel::nn {

std::string_view name_of(Memory memory) {
  switch (memory) {
    case Memory::keep:
      return "keep";
    case Memory::normal:
      return "normal";
    case Memory::save:
      break;
  }
  return "save";
}

Memory memory_of(std::string_view name) {
  for (const Memory memory : {Memory::keep, Memory::normal, Memory::save}) {
    if (name == name_of(memory)) return memory;
  }
  fail<UsageError>("[memory] expected keep, normal or save, got '{}'", name);
}

int set_memory(Module& network, Memory memory) {
  int count = 0;
  network.visit([&](const std::string& /*path*/, Module& module) {
    auto* const norm = dynamic_cast<BatchNorm*>(&module);
    if (norm == nullptr) return;
    norm->set_memory(memory);
    ++count;
  });
  return count;
}

}  // namespace evenkeel::nn
