#include "optim/loops.h"
#include <evenkeel/core/error.h>
#include <evenkeel/optim/sgd.h>

namespace evenkeel::optim {
namespace {

std::vector<std::string> slots_for(const SgdOptions& options) {
  if (!(options.momentum >= 0 && options.momentum < 1)) {
    fail<UsageError>("[sgd] expected 0 <= momentum < 1, got {}", options.momentum);
  }
  if (options.nesterov && options.momentum == 0) {
    fail<UsageError>("[sgd] nesterov needs a momentum larger than 0, such as 0.9");
  }
  if (options.momentum == 0) return {};
  return {"momentum"};
}

/// The factors in the type of the parameter.
template <class T>
struct Factors {
  T lr, decay, momentum;
};

template <class T>
void plain(T* p, const T* g, std::int64_t begin, std::int64_t end, Factors<T> f) {
  for (std::int64_t i = begin; i < end; ++i) p[i] -= f.lr * (g[i] + f.decay * p[i]);
}

template <class T, bool nesterov>
void with_momentum(T* __restrict p, const T* __restrict g, T* __restrict v, std::int64_t begin,
                   std::int64_t end, Factors<T> f) {
  for (std::int64_t i = begin; i < end; ++i) {
    const T gradient = g[i] + f.decay * p[i];
    const T velocity = f.momentum * v[i] + gradient;
    v[i] = velocity;
    p[i] -= f.lr * (nesterov ? gradient + f.momentum * velocity : velocity);
  }
}

}  // namespace

Sgd::Sgd(std::vector<ParameterGroup> groups, SgdOptions options)
    : Optimizer(std::move(groups), slots_for(options)), options_(options) {}

void Sgd::update(nn::Parameter& parameter, const Update& update) {
  for_dtype(parameter.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Factors<T> f{static_cast<T>(update.lr), static_cast<T>(update.weight_decay),
                       static_cast<T>(options_.momentum)};
    T* const p = parameter.value.template data<T>();
    const T* const g = std::as_const(parameter.grad).template data<T>();
    T* const v = update.state.empty() ? nullptr : update.state[0].template data<T>();
    parallel_ranges(parameter.value.numel(), kRange,
                    [=, this](std::int64_t begin, std::int64_t end) {
                      if (v == nullptr) {
                        plain(p, g, begin, end, f);
                      } else if (options_.nesterov) {
                        with_momentum<T, true>(p, g, v, begin, end, f);
                      } else {
                        with_momentum<T, false>(p, g, v, begin, end, f);
                      }
                    });
  });
}

}  // namespace evenkeel::optim
