#include "ops/onednn/conv.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

#include "ops/onednn/conv_plan.h"
#include "ops/onednn/runtime.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/memory.h>
#include <evenkeel/core/parallel.h>

// The batch is cut into slices by the shape alone, and each slice runs through a primitive made for
// one thread. That is as fast as letting oneDNN use all threads (within 3 % on the shapes of
// ResNet-20), keeps reordered slices in the cache, and gives the same bits for any number of
// threads.
namespace evenkeel::ops::onednn {
namespace {

constexpr std::int64_t kMostSlices = 16;
constexpr std::int64_t kLeastWork = 2'000'000;  // multiply-adds of a slice: some 25 microseconds
constexpr std::int64_t kWorkPerElement = 16;    // multiply-adds in the time of an elementwise step

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Samples [begin(i), begin(i + 1)) form slice i; the slices differ by one sample at most.
struct Slices {
  std::int64_t samples;
  std::int64_t count;

  std::int64_t begin(std::int64_t i) const { return samples * i / count; }
  std::int64_t small() const { return samples / count; }
  std::int64_t large() const { return (samples + count - 1) / count; }
};

Slices cut(const ConvGeometry& g, ConvDirection direction) {
  std::int64_t least = kLeastWork;
  // A slice's weight gradient is written, read and added: let it be worth that.
  if (direction == ConvDirection::backward_weight) least = std::max(least, 512 * g.weight_size());
  const std::int64_t worth = g.samples * std::max<std::int64_t>(g.work(), 1) / least;
  return {g.samples, std::clamp<std::int64_t>(worth, 1, std::min(kMostSlices, g.samples))};
}

struct Buffer {
  std::shared_ptr<std::byte> owner;
  explicit Buffer(std::size_t bytes) : owner(allocate(bytes)) {}
  float* floats() const { return reinterpret_cast<float*>(owner.get()); }
};

/// Runs the reorder of `tensor` in the direction that the plan gave it.
void reorder(const ConvTensor& tensor, const dnnl::memory::desc& from_desc, const void* from,
             const dnnl::memory::desc& to_desc, void* to, std::byte* scratch) {
  dnnl::memory::desc scratch_desc;
  if (tensor.reorder_scratch != 0) {
    scratch_desc = {{static_cast<std::int64_t>(tensor.reorder_scratch)},
                    dnnl::memory::data_type::u8,
                    dnnl::memory::format_tag::a};
  }
  tensor.reorder.execute(stream(), {{DNNL_ARG_FROM, memory_at(from_desc, from)},
                                    {DNNL_ARG_TO, memory_at(to_desc, to)},
                                    {DNNL_ARG_SCRATCHPAD, memory_at(scratch_desc, scratch)}});
}

std::size_t largest_scratch(const ConvPlan& plan) {
  return aligned(std::max({plan.scratchpad.get_size(), plan.x.reorder_scratch,
                           plan.weight.reorder_scratch, plan.y.reorder_scratch}));
}

/// What one thread needs to run the plan on one slice, weights apart.
std::size_t workspace(const ConvPlan& plan) {
  return largest_scratch(plan) + aligned(plan.x.bytes()) + aligned(plan.y.bytes());
}

/// The plans for the two sizes of slices (the same plan where all are equal).
struct Plans {
  Slices slices;
  std::shared_ptr<const ConvPlan> small, large;

  const ConvPlan& of(std::int64_t slice) const {
    return slices.begin(slice + 1) - slices.begin(slice) == slices.small() ? *small : *large;
  }
};

Plans plan_slices(ConvDirection direction, const ConvGeometry& g, bool with_bias,
                  const ConvPost& post = {}) {
  Plans plans{cut(g, direction), {}, {}};
  int threads = 1;
  // Few samples: outside deterministic mode oneDNN may spread each over all threads.
  if (!deterministic() && plans.slices.count < max_threads() && !in_parallel() &&
      g.samples * g.work() > kLeastWork) {
    plans.slices.count = 1;
    threads = max_threads();
  }
  const auto& slices = plans.slices;
  plans.small = conv_plan(direction, g, slices.small(), with_bias, threads, post);
  plans.large = slices.small() == slices.large()
                    ? plans.small
                    : conv_plan(direction, g, slices.large(), with_bias, threads, post);
  return plans;
}

/// One set of slices per thread, each set with its own workspace. What is computed depends on the
/// slice only.
template <class F>
void for_each_slice(const ConvGeometry& g, const Plans& plans, F&& f) {
  const std::size_t bytes = std::max(workspace(*plans.small), workspace(*plans.large));
  const std::int64_t count = plans.slices.count;
  if (count == 1) {
    const ThreadScope threads(plans.small->threads);
    const Buffer buffer(bytes);
    f(std::int64_t{0}, buffer.owner.get());
    return;
  }
  const std::int64_t lanes = std::min<std::int64_t>(count, max_threads());
  const Buffer buffer(bytes * static_cast<std::size_t>(lanes));
  const std::int64_t cost = g.samples * g.work() / kWorkPerElement / lanes;
  parallel_for(lanes, cost, [&](std::int64_t lane) {
    const ThreadScope one_thread(1);
    std::byte* const mine = buffer.owner.get() + bytes * static_cast<std::size_t>(lane);
    for (std::int64_t i = count * lane / lanes; i < count * (lane + 1) / lanes; ++i) f(i, mine);
  });
}

/// The weight in the plan's format: itself, or reordered into a buffer.
struct Weight {
  const void* data;
  Buffer buffer;

  Weight(const ConvPlan& plan, const float* weight)
      : data(weight), buffer(plan.weight.bytes() + aligned(plan.weight.reorder_scratch)) {
    if (plan.weight.direct()) return;
    std::byte* const scratch = buffer.owner.get();
    std::byte* const to = scratch + aligned(plan.weight.reorder_scratch);
    const ThreadScope threads(plan.threads);
    reorder(plan.weight, plan.weight.user, weight, plan.weight.internal, to, scratch);
    data = to;
  }
};

/// Sample i of what goes into the convolution, or of what comes out.
const void* input(const ConvGeometry& g, const void* x, std::int64_t i) {
  return static_cast<const std::byte*>(x) +
         static_cast<std::size_t>(i * g.in_size()) * size_of(g.dtype);
}
const void* output(const ConvGeometry& g, const void* y, std::int64_t i) {
  return static_cast<const std::byte*>(y) +
         static_cast<std::size_t>(i * g.out_size()) * size_of(g.dtype);
}

/// Runs the plan on one slice: reorders what goes in, computes, reorders what comes out.
void run(const ConvPlan& plan, const void* x, const void* weight, const float* bias, const void* y,
         std::byte* mine, const void* addend = nullptr) {
  std::byte* const scratch = mine;
  std::byte* const x_inside = scratch + largest_scratch(plan);
  std::byte* const y_inside = x_inside + aligned(plan.x.bytes());
  const void* const x_used = plan.x.direct() ? x : x_inside;
  const void* const y_used = plan.y.direct() ? y : y_inside;
  const bool makes_x = plan.direction == ConvDirection::backward_data;
  const bool makes_y = plan.direction == ConvDirection::forward;
  const bool makes_weight = plan.direction == ConvDirection::backward_weight;
  if (!makes_x && !plan.x.direct()) {
    reorder(plan.x, plan.x.user, x, plan.x.internal, x_inside, scratch);
  }
  if (!makes_y && !plan.y.direct()) {
    reorder(plan.y, plan.y.user, y, plan.y.internal, y_inside, scratch);
  }
  std::unordered_map<int, dnnl::memory> arguments{
      {makes_x ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, memory_at(plan.x.internal, x_used)},
      {makes_weight ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
       memory_at(plan.weight.internal, weight)},
      {makes_y ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, memory_at(plan.y.internal, y_used)},
      {DNNL_ARG_SCRATCHPAD, memory_at(plan.scratchpad, scratch)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, memory_at(plan.bias, bias));
  if (addend != nullptr) {
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                      memory_at(plan.y.internal, addend));
  }
  plan.primitive.execute(stream(), arguments);
  if (makes_x && !plan.x.direct()) {
    reorder(plan.x, plan.x.internal, x_inside, plan.x.user, const_cast<void*>(x), scratch);
  }
  if (makes_y && !plan.y.direct()) {
    reorder(plan.y, plan.y.internal, y_inside, plan.y.user, const_cast<void*>(y), scratch);
  }
}

/// Forward and backward to the data: each slice has samples of its own.
void run_by_sample(const ConvGeometry& g, const Plans& plans, const void* x, const float* weight,
                   const float* bias, const void* y) {
  const Weight for_small(*plans.small, weight);
  std::optional<Weight> for_large;
  const bool shared = plans.small->weight.internal == plans.large->weight.internal;
  if (!shared) for_large.emplace(*plans.large, weight);
  for_each_slice(g, plans, [&](std::int64_t slice, std::byte* mine) {
    const ConvPlan& plan = plans.of(slice);
    const bool large = !shared && &plan == plans.large.get();
    const std::int64_t begin = plans.slices.begin(slice);
    run(plan, input(g, x, begin), large ? for_large->data : for_small.data, bias,
        output(g, y, begin), mine);
  });
}

/// sum[i] += Σ_k parts[k·stride + i] over the slices that `counts`, in their order.
template <class Counts>
void add_parts(std::int64_t size, std::int64_t slices, Counts&& counts, const float* parts,
               std::int64_t stride, float* sum) {
  constexpr std::int64_t kBlock = 1024;
  parallel_for((size + kBlock - 1) / kBlock, kBlock * slices, [&](std::int64_t block) {
    const std::int64_t begin = block * kBlock;
    const std::int64_t count = std::min(kBlock, size - begin);
    float sums[kBlock] = {};
    for (std::int64_t k = 0; k < slices; ++k) {
      if (!counts(k)) continue;
      const float* part = parts + k * stride + begin;
      for (std::int64_t i = 0; i < count; ++i) sums[i] += part[i];
    }
    for (std::int64_t i = 0; i < count; ++i) sum[begin + i] += sums[i];
  });
}

/// Bytes that combine() needs for sums and reorders.
std::size_t combine_bytes(const ConvPlan& plan) {
  if (plan.weight.direct()) return 0;
  return aligned(plan.weight.internal.get_size()) + aligned(plan.weight.user.get_size()) +
         plan.weight.reorder_scratch;
}

/// Adds the partial gradients of the slices that ran with `plan` to dweight.
void combine(const ConvGeometry& g, const Plans& plans, const ConvPlan& plan, const float* parts,
             std::int64_t stride, const Buffer& buffer, float* dweight) {
  const auto counts = [&](std::int64_t slice) { return &plans.of(slice) == &plan; };
  if (plan.weight.direct()) {
    add_parts(g.weight_size(), plans.slices.count, counts, parts, stride, dweight);
    return;
  }
  const auto internal = static_cast<std::int64_t>(plan.weight.internal.get_size() / sizeof(float));
  const std::size_t sum_bytes = aligned(plan.weight.internal.get_size());
  const std::size_t user_bytes = aligned(plan.weight.user.get_size());
  float* const sum = buffer.floats();
  auto* const plain = reinterpret_cast<float*>(buffer.owner.get() + sum_bytes);
  std::fill(sum, sum + internal, 0.0f);
  add_parts(internal, plans.slices.count, counts, parts, stride, sum);
  {
    const ThreadScope threads(plan.threads);
    reorder(plan.weight, plan.weight.internal, sum, plan.weight.user, plain,
            buffer.owner.get() + sum_bytes + user_bytes);
  }
  add_parts(
      g.weight_size(), 1, [](std::int64_t) { return true; }, plain, 0, dweight);
}

}  // namespace

struct KeptWeight::Formats {
  std::mutex mutex;
  std::list<std::pair<dnnl::memory::desc, Weight>> weights;
};

KeptWeight::KeptWeight(const float* weight)
    : weight_(weight), formats_(std::make_unique<Formats>()) {}
KeptWeight::~KeptWeight() = default;

/// Access to a kept weight.
class KeptWeightUse {
 public:
  /// In the plan's format; made when it is first wanted.
  static const void* in_format_of(const KeptWeight& kept, const ConvPlan& plan) {
    if (plan.weight.direct()) return kept.weight_;
    const std::scoped_lock lock(kept.formats_->mutex);
    auto& weights = kept.formats_->weights;
    for (const auto& [desc, weight] : weights) {
      if (desc == plan.weight.internal) return weight.data;
    }
    weights.emplace_back(plan.weight.internal, Weight(plan, kept.weight_));
    return weights.back().second.data;
  }
};

bool conv_frozen(const ConvGeometry& g, const void* x, const KeptWeight& weight, const float* bias,
                 const ConvPost& post, const void* addend, void* y) {
  return translate_errors("conv_frozen", [&] {
    const Plans plans = plan_slices(ConvDirection::forward, g, bias != nullptr, post);
    const bool able = !plans.small->post.nothing() && !plans.large->post.nothing();
    if (!post.nothing() && !able) return false;
    const void* const small = KeptWeightUse::in_format_of(weight, *plans.small);
    const void* const large = KeptWeightUse::in_format_of(weight, *plans.large);
    for_each_slice(g, plans, [&](std::int64_t slice, std::byte* mine) {
      const ConvPlan& plan = plans.of(slice);
      const std::int64_t begin = plans.slices.begin(slice);
      run(plan, input(g, x, begin), &plan == plans.small.get() ? small : large, bias,
          output(g, y, begin), mine, addend != nullptr ? output(g, addend, begin) : nullptr);
    });
    return true;
  });
}

void conv_forward(const ConvGeometry& g, const void* x, const float* weight, const float* bias,
                  void* y) {
  translate_errors("conv_forward", [&] {
    const Plans plans = plan_slices(ConvDirection::forward, g, bias != nullptr);
    run_by_sample(g, plans, x, weight, bias, y);
  });
}

void conv_backward_data(const ConvGeometry& g, const void* dy, const float* weight, void* dx) {
  translate_errors("conv_backward_data", [&] {
    const Plans plans = plan_slices(ConvDirection::backward_data, g, false);
    run_by_sample(g, plans, dx, weight, nullptr, dy);
  });
}

void conv_backward_weight(const ConvGeometry& g, const void* x, const void* dy, float* dweight) {
  translate_errors("conv_backward_weight", [&] {
    const Plans plans = plan_slices(ConvDirection::backward_weight, g, false);
    const std::size_t bytes = aligned(
        std::max(plans.small->weight.internal.get_size(), plans.large->weight.internal.get_size()));
    const auto stride = static_cast<std::int64_t>(bytes / sizeof(float));
    const Buffer parts(bytes * static_cast<std::size_t>(plans.slices.count));
    for_each_slice(g, plans, [&](std::int64_t slice, std::byte* mine) {
      const std::int64_t begin = plans.slices.begin(slice);
      run(plans.of(slice), input(g, x, begin), parts.floats() + slice * stride, nullptr,
          output(g, dy, begin), mine);
    });
    // All memory before the first sum is added.
    const Buffer buffer(std::max(combine_bytes(*plans.small), combine_bytes(*plans.large)));
    combine(g, plans, *plans.small, parts.floats(), stride, buffer, dweight);
    if (plans.large != plans.small) {
      combine(g, plans, *plans.large, parts.floats(), stride, buffer, dweight);
    }
  });
}

}  // namespace evenkeel::ops::onednn
