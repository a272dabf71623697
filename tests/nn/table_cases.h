// The samples of the layer table as tests use them.
#pragma once

#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "nn/tensors.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/layer_table.h>

namespace evenkeel::testing {

/// One sample of one row, in one layout.
struct LayerCase {
  const nn::LayerRow* row;
  const nn::LayerSample* sample;
  Layout layout;

  std::unique_ptr<nn::Module> make() const {
    auto layer = nn::make_layer(row->name, sample->options);
    layer->initialize(3);
    return layer;
  }
  /// In f32.
  Tensor input(std::uint64_t seed = 1) const { return input(sample->input, seed); }
  Tensor input(const Shape& shape, std::uint64_t seed) const {
    return separated_tensor(shape, seed, layout).to(DType::f32);
  }
  std::string name() const {
    return fmt::format("{} {} {}", row->name, sample->input.str(), evenkeel::name_of(layout));
  }
};

/// Every sample of the named row, in both layouts where there are positions.
inline std::vector<LayerCase> cases_of(const std::string& name) {
  std::vector<LayerCase> cases;
  for (const nn::LayerRow& row : nn::layer_table()) {
    if (row.name != name) continue;
    for (const nn::LayerSample& sample : row.samples) {
      for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
        if (layout == Layout::channels_last && sample.input.rank() < 3) continue;
        cases.push_back({&row, &sample, layout});
      }
    }
  }
  return cases;
}

inline std::vector<std::string> layer_names() {
  std::vector<std::string> names;
  for (const nn::LayerRow& row : nn::layer_table()) names.push_back(row.name);
  return names;
}

/// Everything that a failed call must leave alone: parameters, gradients, buffers.
class Snapshot {
 public:
  explicit Snapshot(nn::Module& module) : module_(module), values_(collect()) {
    for (auto& [name, tensor] : values_) tensor = tensor.clone();
  }
  /// The name of the first tensor that has changed; empty if none has.
  std::string difference() const {
    const nn::StateDict now = collect();
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (!identical(now[i].second, values_[i].second)) return now[i].first;
    }
    return {};
  }

 private:
  nn::StateDict collect() const {
    nn::StateDict all = module_.state_dict();
    for (const auto& [name, parameter] : module_.parameters()) {
      all.emplace_back("gradient of " + name, parameter->grad);
    }
    return all;
  }

  nn::Module& module_;
  nn::StateDict values_;
};

/// Lets the k-th allocation from now on fail, and all after it work, until its end.
class FailingAllocation {
 public:
  explicit FailingAllocation(std::int64_t k) {
    set_allocation_hook([this, k](std::size_t) { return count_++ != k; });
  }
  ~FailingAllocation() { set_allocation_hook({}); }
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;

 private:
  std::atomic<std::int64_t> count_{0};
};

/// Runs `call` with its first allocation failing, then its second, …, until it gets through;
/// returns how many failed. `after_failure` looks at what each left.
template <class Call, class After>
std::int64_t fail_each_allocation(Call&& call, After&& after_failure) {
  for (std::int64_t k = 0;; ++k) {
    {
      const FailingAllocation failing(k);
      try {
        call();
        return k;
      } catch (const std::bad_alloc&) {
      }
    }
    after_failure();
  }
}

}  // namespace evenkeel::testing
