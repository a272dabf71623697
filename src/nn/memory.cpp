#include <evenkeel/core/error.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/memory.h>

namespace evenkeel::nn {

std::string_view name_of(Memory memory) { return memory == Memory::normal ? "normal" : "save"; }

Memory memory_of(std::string_view name) {
  for (const Memory memory : {Memory::normal, Memory::save}) {
    if (name == name_of(memory)) return memory;
  }
  fail<UsageError>("[memory] expected normal or save, got '{}'", name);
}

int set_memory(Module& network, Memory memory) {
  int count = 0;
  network.visit([&](const std::string& /*path*/, Module& module) {
    auto* const norm = dynamic_cast<BatchNorm*>(&module);
    if (norm == nullptr) return;
    norm->set_recomputed(memory == Memory::save);
    ++count;
  });
  return count;
}

}  // namespace evenkeel::nn
