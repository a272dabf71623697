#include "ops/onednn/conv_plan.h"

#include <bit>
#include <optional>
#include <string_view>
#include <vector>

#include "ops/onednn/cache.h"
#include "ops/onednn/runtime.h"

namespace evenkeel::ops::onednn {
namespace {

using Memory = dnnl::memory;
using Tag = Memory::format_tag;
constexpr auto kFloat = Memory::data_type::f32;
constexpr auto kDirect = dnnl::algorithm::convolution_direct;

/// Enough for the forward and backward passes of a network of a hundred different layers at two
/// batch sizes.
constexpr std::size_t kCachedPlans = 1024;

struct Descs {
  Memory::desc x, weight, y, bias;
  Memory::dims strides, dilates, padding;
};

Memory::dims dims_of(const std::array<std::int64_t, 2>& values) { return {values[0], values[1]}; }

/// The element types of feature maps and weights.
struct Types {
  Memory::data_type maps = kFloat;
  Memory::data_type weights = kFloat;
};

/// What the caller has.
Types user_types(const ConvGeometry& g) {
  return {g.dtype == DType::bf16 ? Memory::data_type::bf16 : kFloat, kFloat};
}

/// What to compute in, best first: in bf16 where the maps are, the gradient of a weight in f32;
/// else through f32.
std::vector<Types> inner_types(const ConvGeometry& g, ConvDirection direction) {
  if (g.dtype != DType::bf16) return {{kFloat, kFloat}};
  constexpr auto kBrain = Memory::data_type::bf16;
  const bool makes_weight = direction == ConvDirection::backward_weight;
  return {{kBrain, makes_weight ? kFloat : kBrain}, {kFloat, kFloat}};
}

Descs descs_of(const ConvGeometry& g, std::int64_t samples, bool with_bias, Tag maps, Tag weights,
               const Types& types) {
  Descs d;
  d.x = {{samples, g.in_channels, g.in[0], g.in[1]}, types.maps, maps};
  d.y = {{samples, g.out_channels, g.out[0], g.out[1]}, types.maps, maps};
  const std::int64_t outputs = g.out_channels / g.groups;
  const std::int64_t inputs = g.in_channels / g.groups;
  if (g.groups == 1) {
    d.weight = {{outputs, inputs, g.kernel[0], g.kernel[1]}, types.weights, weights};
  } else {
    const Tag grouped = weights == Tag::oihw ? Tag::goihw : weights;
    d.weight = {{g.groups, outputs, inputs, g.kernel[0], g.kernel[1]}, types.weights, grouped};
  }
  if (with_bias) d.bias = {{g.out_channels}, kFloat, Tag::a};
  d.strides = dims_of(g.stride);
  d.dilates = {g.dilation[0] - 1, g.dilation[1] - 1};  // oneDNN counts the gaps
  d.padding = dims_of(g.padding);
  return d;
}

template <class PrimitiveDesc>
void fill(ConvPlan& plan, const PrimitiveDesc& desc) {
  plan.scratchpad = desc.scratchpad_desc();
  plan.implementation = desc.impl_info_str();
}

dnnl::post_ops post_ops_of(const ConvPost& post, const Memory::desc& y) {
  dnnl::post_ops ops;
  if (post.add == ConvPost::Add::into) ops.append_sum(1);
  if (post.add == ConvPost::Add::apart) ops.append_binary(dnnl::algorithm::binary_add, y);
  if (post.activation != ConvPost::Activation::none) {
    ops.append_eltwise(1, dnnl::algorithm::eltwise_relu, post.slope, 0);  // leaky with a slope
  }
  return ops;
}

/// The best implementation that oneDNN has for these formats; none where it has none.
std::optional<ConvPlan> try_formats(ConvDirection direction, const Descs& d, const ConvPost& post) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (!post.nothing()) attributes.set_post_ops(post_ops_of(post, d.y));
  ConvPlan plan;
  plan.post = post;
  plan.direction = direction;
  try {
    const bool inference = direction == ConvDirection::forward;
    const dnnl::convolution_forward::desc forward(
        inference ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training, kDirect,
        d.x, d.weight, d.bias, d.y, d.strides, d.dilates, d.padding, d.padding);
    const dnnl::convolution_forward::primitive_desc hint(forward, attributes, engine());
    if (direction == ConvDirection::forward) {
      fill(plan, hint);
      plan.x.internal = hint.src_desc();
      plan.weight.internal = hint.weights_desc();
      plan.y.internal = hint.dst_desc();
      plan.primitive = dnnl::convolution_forward(hint);
    } else if (direction == ConvDirection::backward_data) {
      const dnnl::convolution_backward_data::desc desc(kDirect, d.x, d.weight, d.y, d.strides,
                                                       d.dilates, d.padding, d.padding);
      const dnnl::convolution_backward_data::primitive_desc made(desc, attributes, engine(), hint);
      fill(plan, made);
      plan.x.internal = made.diff_src_desc();
      plan.weight.internal = made.weights_desc();
      plan.y.internal = made.diff_dst_desc();
      plan.primitive = dnnl::convolution_backward_data(made);
    } else {
      const dnnl::convolution_backward_weights::desc desc(kDirect, d.x, d.weight, d.y, d.strides,
                                                          d.dilates, d.padding, d.padding);
      const dnnl::convolution_backward_weights::primitive_desc made(desc, attributes, engine(),
                                                                    hint);
      fill(plan, made);
      plan.x.internal = made.src_desc();
      plan.weight.internal = made.diff_weights_desc();
      plan.y.internal = made.diff_dst_desc();
      plan.primitive = dnnl::convolution_backward_weights(made);
    }
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return std::nullopt;
    throw;
  }
  return plan;
}

/// How far an implementation is from oneDNN's best: 0 compiled for the shape, 1 im2col and gemm
/// (four times slower), 2 scalar loops (a thousand times slower).
int rank_of(const ConvPlan& plan) {
  if (plan.implementation.find("ref") != std::string::npos) return 2;
  return plan.implementation.find("gemm") != std::string::npos ? 1 : 0;
}

/// oneDNN 2.6's AVX2 kernel of strided 1×1 convolutions gathers and spreads the pixels in whole
/// vectors of channels: it writes beyond the last channel, and so beyond the tensor or its scratch
/// memory.
bool writes_beyond(const ConvPlan& plan, const ConvGeometry& g) {
  constexpr std::int64_t kVector = 8;
  const bool strided = g.stride[0] != 1 || g.stride[1] != 1;
  return strided && g.in_channels / g.groups % kVector != 0 &&
         plan.implementation.find("1x1:avx2") != std::string::npos;
}

/// Formats of the feature maps to try; of equal rank the first wins. nhwc is as fast as blocked
/// memory where it runs directly. For nchw oneDNN has im2col only: it pays to reorder to what it
/// likes best, which `any` asks for.
constexpr Tag kLastFormats[] = {Tag::nhwc, Tag::any, Tag::nchw};
constexpr Tag kFirstFormats[] = {Tag::any, Tag::nhwc, Tag::nchw};

void connect(ConvTensor& tensor, const Memory::desc& user, bool is_output) {
  tensor.user = user;
  if (tensor.direct()) return;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const auto& from = is_output ? tensor.internal : tensor.user;
  const auto& to = is_output ? tensor.user : tensor.internal;
  const dnnl::reorder::primitive_desc desc(engine(), from, engine(), to, attributes);
  tensor.reorder_scratch = desc.scratchpad_desc().get_size();
  tensor.reorder = dnnl::reorder(desc);
}

std::shared_ptr<const ConvPlan> make(ConvDirection direction, const ConvGeometry& g,
                                     std::int64_t samples, bool with_bias, int threads,
                                     const ConvPost& post);

/// A plan whose results have something done to them, if that is fast: compiled for the shape, on y
/// as the caller has it.
std::shared_ptr<const ConvPlan> make_fused(const ConvGeometry& g, std::int64_t samples,
                                           bool with_bias, int threads, const ConvPost& post) {
  const bool last = g.layout == Layout::channels_last;
  if (!last && post.add != ConvPost::Add::none) return nullptr;  // y would be in another format
  try {
    auto plan = make(ConvDirection::forward, g, samples, with_bias, threads, post);
    const bool fits = post.add == ConvPost::Add::none || plan->y.direct();
    return fits && rank_of(*plan) == 0 ? plan : nullptr;
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return nullptr;
    throw;
  }
}

std::shared_ptr<const ConvPlan> make(ConvDirection direction, const ConvGeometry& g,
                                     std::int64_t samples, bool with_bias, int threads,
                                     const ConvPost& post) {
  const ThreadScope scope(threads);
  const bool last = g.layout == Layout::channels_last;
  std::optional<ConvPlan> best;
  for (const Types& types : inner_types(g, direction)) {
    for (const Tag maps : last ? kLastFormats : kFirstFormats) {
      auto plan =
          try_formats(direction, descs_of(g, samples, with_bias, maps, Tag::any, types), post);
      if (!plan || writes_beyond(*plan, g)) continue;
      if (!best || rank_of(*plan) < rank_of(*best)) best = std::move(plan);
      if (rank_of(*best) == 0) break;
    }
    if (best && rank_of(*best) == 0) break;
  }
  if (!best) {
    throw dnnl::error(dnnl_unimplemented, "no implementation of this convolution");
  }
  const Descs user =
      descs_of(g, samples, with_bias, last ? Tag::nhwc : Tag::nchw, Tag::oihw, user_types(g));
  connect(best->x, user.x, direction == ConvDirection::backward_data);
  connect(best->weight, user.weight, direction == ConvDirection::backward_weight);
  connect(best->y, user.y, direction == ConvDirection::forward);
  best->bias = user.bias;
  best->threads = threads;
  return std::make_shared<const ConvPlan>(std::move(*best));
}

}  // namespace

std::shared_ptr<const ConvPlan> conv_plan(ConvDirection direction, const ConvGeometry& g,
                                          std::int64_t samples, bool with_bias, int threads,
                                          const ConvPost& post) {
  static auto* const plans = new Cache<ConvPlan>(kCachedPlans);
  const Key key{
      static_cast<std::int64_t>(direction),
      static_cast<std::int64_t>(g.layout) + 2 * static_cast<std::int64_t>(g.dtype),
      samples,
      with_bias ? 1 : 0,
      static_cast<std::int64_t>(post.add) * 4 + static_cast<std::int64_t>(post.activation),
      static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(post.slope)),
      threads,
      g.in_channels,
      g.out_channels,
      g.groups,
      g.in[0],
      g.in[1],
      g.kernel[0],
      g.kernel[1],
      g.stride[0],
      g.stride[1],
      g.padding[0],
      g.padding[1],
      g.dilation[0],
      g.dilation[1]};
  return plans->get(key, [&] {
    if (!post.nothing()) {
      if (auto fused = make_fused(g, samples, with_bias, threads, post)) return fused;
    }
    return make(direction, g, samples, with_bias, threads, {});
  });
}

}  // namespace evenkeel::ops::onednn
