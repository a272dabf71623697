#include "ops/onednn/runtime.h"

#include "ops/onednn/processor.h"

namespace evenkeel::ops::onednn {

const dnnl::engine& engine() {
  // Never destroyed: worker threads may hold streams on it until the process ends.
  static const auto* const instance = [] {
    // Primitives are kept in caches of our own. oneDNN's, where memory runs out while a primitive
    // is made, keeps a broken promise for it and throws at every later attempt.
    (void)dnnl_set_primitive_cache_capacity(0);
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return *instance;
}

const dnnl::stream& stream() {
  thread_local const dnnl::stream instance(engine());
  return instance;
}

bool has_bf16() {
  static const bool has = [] {
    const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
    return (isa & needed) == needed;
  }();
  return has;
}

}  // namespace evenkeel::ops::onednn
