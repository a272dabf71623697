#include "nn/rollback.h"

#include <cstring>

#include <evenkeel/core/memory.h>

namespace evenkeel::nn {

Rollback::Rollback(Module& module) {
  note(module);
  copies_ = allocate(bytes_);
  for (const Copy& copy : buffers_) {
    const Tensor& live = *copy.live;
    if (live.bytes() > 0) std::memcpy(copies_.get() + copy.place, live.raw(), live.bytes());
  }
}

Rollback::~Rollback() {
  if (kept_) return;
  for (const Mark& mark : marks_) {
    if (SavedBase* const saved = mark.module->own_saved()) saved->shrink(mark.saved);
    mark.module->clear_own_rest();
  }
  for (const Copy& copy : buffers_) {
    Tensor& live = *copy.live;
    if (live.bytes() > 0) std::memcpy(live.raw(), copies_.get() + copy.place, live.bytes());
  }
}

void Rollback::note(Module& module) {
  const SavedBase* const saved = module.own_saved();
  marks_.push_back({&module, saved == nullptr ? 0 : saved->size()});
  if (module.training_) {
    for (auto& [name, buffer] : module.buffers_) {
      buffers_.push_back({&buffer->value, bytes_});
      bytes_ += buffer->value.bytes();
    }
  }
  for (auto& [name, child] : module.children_) note(*child);
}

std::size_t Rollback::saved_in(Module& module) {
  const SavedBase* const saved = module.own_saved();
  std::size_t count = saved == nullptr ? 0 : saved->size();
  for (auto& [name, child] : module.children_) count += saved_in(*child);
  return count;
}

}  // namespace evenkeel::nn
