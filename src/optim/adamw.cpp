#include <cmath>

#include "optim/loops.h"
#include <evenkeel/core/error.h>
#include <evenkeel/optim/adamw.h>

namespace evenkeel::optim {
namespace {

std::vector<std::string> slots_for(const AdamWOptions& options) {
  for (const double beta : {options.beta1, options.beta2}) {
    if (!(beta >= 0 && beta < 1)) fail<UsageError>("[adamw] expected 0 <= beta < 1, got {}", beta);
  }
  if (!(options.eps > 0)) fail<UsageError>("[adamw] expected eps > 0, got {}", options.eps);
  return {"mean", "square"};
}

/// The factors of one step, formed in double and rounded once.
template <class T>
struct Factors {
  T keep;                    // 1 − lr·weight_decay
  T new_mean;                // 1 − β₁
  T old_square, new_square;  // β₂, 1 − β₂
  T rate;                    // lr / (1 − β₁ᵗ)
  T root;                    // √(1 − β₂ᵗ)
  T eps;
};

template <class T>
void adamw(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v,
           std::int64_t begin, std::int64_t end, const Factors<T> f) {
  for (std::int64_t i = begin; i < end; ++i) {
    const T mean = m[i] + f.new_mean * (g[i] - m[i]);
    const T square = f.old_square * v[i] + f.new_square * (g[i] * g[i]);
    m[i] = mean;
    v[i] = square;
    p[i] = f.keep * p[i] - f.rate * (mean / (std::sqrt(square) / f.root + f.eps));
  }
}

}  // namespace

AdamW::AdamW(std::vector<ParameterGroup> groups, AdamWOptions options)
    : Optimizer(std::move(groups), slots_for(options)), options_(options) {}

void AdamW::update(nn::Parameter& parameter, const Update& update) {
  const auto t = static_cast<double>(update.count);
  for_dtype(parameter.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Factors<T> f{
        static_cast<T>(1 - update.lr * update.weight_decay),
        static_cast<T>(1 - options_.beta1),
        static_cast<T>(options_.beta2),
        static_cast<T>(1 - options_.beta2),
        static_cast<T>(update.lr / (1 - std::pow(options_.beta1, t))),
        static_cast<T>(std::sqrt(1 - std::pow(options_.beta2, t))),
        static_cast<T>(options_.eps),
    };
    T* const p = parameter.value.template data<T>();
    const T* const g = std::as_const(parameter.grad).template data<T>();
    T* const m = update.state[0].template data<T>();
    T* const v = update.state[1].template data<T>();
    parallel_ranges(parameter.value.numel(), kRange, [=](std::int64_t begin, std::int64_t end) {
      adamw(p, g, m, v, begin, end, f);
    });
  });
}

}  // namespace evenkeel::optim
