// The residual sum and the activation behind it, which oneDNN's batch norm does not do on CPUs: in
// passes of their own, as networks of oneDNN's do them.
#pragma once

#include "onednn_memory.h"

namespace evenkeel::bench {

class OnednnSum {
 public:
  OnednnSum() = default;
  /// y ← relu(y + addend), or without the ReLU.
  OnednnSum(const dnnl::memory::desc& data, const dnnl::memory& y, const dnnl::memory& addend,
            bool relu);
  void run() const { run_primitive(primitive_, arguments_); }

 private:
  dnnl::primitive primitive_;
  Arguments arguments_;
};

class OnednnReluGradient {
 public:
  OnednnReluGradient() = default;
  /// g ← dy where y is positive, else 0.
  OnednnReluGradient(const dnnl::memory::desc& data, const dnnl::memory& y, const dnnl::memory& dy,
                     const dnnl::memory& g);
  void run() const { run_primitive(primitive_, arguments_); }

 private:
  dnnl::primitive primitive_;
  Arguments arguments_;
};

}  // namespace evenkeel::bench
