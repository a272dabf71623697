// What oneDNN's candidates share: engine, memory, and the versions' two ways to describe a
// primitive.
#pragma once

#include <cstring>
#include <string>
#include <unordered_map>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "problem.h"

namespace evenkeel::bench {

using Arguments = std::unordered_map<int, dnnl::memory>;

inline const dnnl::engine& onednn_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}
inline dnnl::stream& onednn_stream() {
  static dnnl::stream stream(onednn_engine());
  return stream;
}

/// Memory of our own allocator, as every candidate's, behind a oneDNN handle.
struct Buffer {
  Tensor tensor;
  dnnl::memory memory;

  Buffer() = default;
  explicit Buffer(const dnnl::memory::desc& desc)
      : tensor(Tensor::zeros({static_cast<std::int64_t>((desc.get_size() + 3) / 4)})),
        memory(desc, onednn_engine(), tensor.raw()) {}
  /// Of values that are there already. oneDNN takes all its pointers as writable.
  Buffer(const dnnl::memory::desc& desc, const void* values)
      : memory(desc, onednn_engine(), const_cast<void*>(values)) {}
};

/// A copy of `from` in another format.
inline Buffer reordered(const dnnl::memory::desc& desc, const Buffer& from) {
  Buffer to(desc);
  dnnl::memory source = from.memory;
  dnnl::reorder(source, to.memory).execute(onednn_stream(), source, to.memory);
  onednn_stream().wait();
  return to;
}

inline dnnl::memory::desc vector_desc(std::int64_t values) {
  return {{values}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::x};
}

inline void run_primitive(const dnnl::primitive& primitive, const Arguments& arguments) {
  primitive.execute(onednn_stream(), arguments);
  onednn_stream().wait();
}

/// "jit:avx512_core" and the like.
inline std::string implementation_of(const dnnl::primitive_desc_base& desc) {
  return desc.impl_info_str();
}

}  // namespace evenkeel::bench
