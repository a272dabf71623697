#include "ops/onednn/runtime.h"

namespace evenkeel::ops::onednn {

const dnnl::engine& engine() {
  // Never destroyed: worker threads may hold streams on it until the process ends.
  static const auto* const instance = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *instance;
}

const dnnl::stream& stream() {
  thread_local const dnnl::stream instance(engine());
  return instance;
}

}  // namespace evenkeel::ops::onednn
