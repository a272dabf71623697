#include "ops/onednn/conv_plan.h"

#include <algorithm>
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

/// Formats of feature maps: the caller's two, and whatever an implementation likes best.
enum class Maps : std::uint8_t { first, last, any };

Tag tag_of(Maps maps, bool flat) {
  if (maps == Maps::any) return Tag::any;
  if (maps == Maps::last) return flat ? Tag::nhwc : Tag::ndhwc;
  return flat ? Tag::nchw : Tag::ncdhw;
}

/// The caller's weights.
Tag weight_tag(const ConvGeometry& g) {
  if (g.is_flat()) return g.groups == 1 ? Tag::oihw : Tag::goihw;
  return g.groups == 1 ? Tag::oidhw : Tag::goidhw;
}

/// `begin`, then the spatial numbers: two for planes, for which oneDNN has more and faster kernels.
Memory::dims dims_of(const ConvGeometry& g, Memory::dims begin, const Spatial& values) {
  begin.insert(begin.end(), values.begin() + (g.is_flat() ? 1 : 0), values.end());
  return begin;
}

/// The element types of feature maps and weights.
struct Types {
  Memory::data_type maps = kFloat;
  Memory::data_type weights = kFloat;
};

/// What the caller has.
Types user_types(const ConvGeometry& g) {
  return {g.dtype == DType::bf16 ? Memory::data_type::bf16 : kFloat, kFloat};
}

/// What to compute in, best first: in bf16 where the maps are, else through f32. The gradient of a
/// weight always through f32: for some strides oneDNN 2.6's bf16 kernel of it reads memory that
/// nobody wrote and writes before its result.
std::vector<Types> inner_types(const ConvGeometry& g, ConvDirection direction) {
  if (g.dtype != DType::bf16 || direction == ConvDirection::backward_weight) {
    return {{kFloat, kFloat}};
  }
  constexpr auto kBrain = Memory::data_type::bf16;
  return {{kBrain, kBrain}, {kFloat, kFloat}};
}

Descs descs_of(const ConvGeometry& g, std::int64_t samples, bool with_bias, Maps maps, Tag weights,
               const Types& types) {
  const Tag tag = tag_of(maps, g.is_flat());
  Descs d;
  d.x = {dims_of(g, {samples, g.in_channels}, g.in), types.maps, tag};
  d.y = {dims_of(g, {samples, g.out_channels}, g.out), types.maps, tag};
  Memory::dims weight{g.out_channels / g.groups, g.in_channels / g.groups};
  if (g.groups != 1) weight.insert(weight.begin(), g.groups);
  d.weight = {dims_of(g, weight, g.kernel), types.weights, weights};
  if (with_bias) d.bias = {{g.out_channels}, kFloat, Tag::a};
  d.strides = dims_of(g, {}, g.stride);
  d.dilates = dims_of(g, {}, g.dilation);
  for (std::int64_t& dilate : d.dilates) --dilate;  // oneDNN counts the gaps
  d.padding = dims_of(g, {}, g.padding);
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
  const bool strided = g.stride != Spatial{1, 1, 1};
  return strided && g.in_channels / g.groups % kVector != 0 &&
         plan.implementation.find("1x1:avx2") != std::string::npos;
}

/// Whether some output has no tap on the input.
bool has_outputs_of_padding(const ConvGeometry& g) {
  for (std::size_t d = 0; d < g.in.size(); ++d) {
    for (std::int64_t o = 0; o < g.out[d]; ++o) {
      const std::int64_t begin = o * g.stride[d] - g.padding[d];
      // The first tap that does not lie before the input, if there is one.
      const std::int64_t tap = begin >= 0 ? 0 : (-begin + g.dilation[d] - 1) / g.dilation[d];
      if (tap >= g.kernel[d] || begin + tap * g.dilation[d] >= g.in[d]) return true;
    }
  }
  return false;
}

/// oneDNN 2.6's kernel out of small products crashes where it is to add to outputs that have no tap
/// on the input.
bool crashes(const ConvPlan& plan, const ConvGeometry& g) {
  return plan.post.add == ConvPost::Add::into &&
         plan.implementation.find("brgconv") != std::string::npos && has_outputs_of_padding(g);
}

/// oneDNN 2.6's bf16 kernel of 1×1 convolutions multiplies the channels of dy in pairs: where their
/// number is odd, it takes the first of the next pixel for the last one's partner.
bool misses_a_pair(const ConvPlan& plan, const ConvGeometry& g) {
  return plan.direction == ConvDirection::backward_data && g.out_channels / g.groups % 2 != 0 &&
         plan.implementation.find("bf16_1x1") != std::string::npos;
}

/// Whether oneDNN must not be trusted with it.
bool errs(const ConvPlan& plan, const ConvGeometry& g) {
  return writes_beyond(plan, g) || crashes(plan, g) || misses_a_pair(plan, g);
}

/// Formats of the feature maps to try; of equal rank the first wins. Channels last is as fast as
/// blocked memory where it runs directly. For channels first oneDNN has im2col only: it pays to
/// reorder to what it likes best, which `any` asks for.
constexpr Maps kLastFormats[] = {Maps::last, Maps::any, Maps::first};
constexpr Maps kFirstFormats[] = {Maps::any, Maps::last, Maps::first};

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
    for (const Maps maps : last ? kLastFormats : kFirstFormats) {
      auto plan =
          try_formats(direction, descs_of(g, samples, with_bias, maps, Tag::any, types), post);
      if (!plan || errs(*plan, g)) continue;
      if (!best || rank_of(*plan) < rank_of(*best)) best = std::move(plan);
      if (rank_of(*best) == 0) break;
    }
    if (best && rank_of(*best) == 0) break;
  }
  if (!best) {
    throw dnnl::error(dnnl_unimplemented, "no implementation of this convolution");
  }
  const Descs user = descs_of(g, samples, with_bias, last ? Maps::last : Maps::first, weight_tag(g),
                              user_types(g));
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
  Key key{static_cast<std::int64_t>(direction),
          static_cast<std::int64_t>(g.layout) + 2 * static_cast<std::int64_t>(g.dtype),
          samples,
          with_bias ? 1 : 0,
          static_cast<std::int64_t>(post.add) * 4 + static_cast<std::int64_t>(post.activation),
          static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(post.slope)),
          threads,
          g.in_channels,
          g.out_channels,
          g.groups};
  auto* place = key.data() + 10;
  for (const Spatial& numbers : {g.in, g.kernel, g.stride, g.padding, g.dilation}) {
    place = std::ranges::copy(numbers, place).out;
  }
  return plans->get(key, [&] {
    if (!post.nothing()) {
      if (auto fused = make_fused(g, samples, with_bias, threads, post)) return fused;
    }
    return make(direction, g, samples, with_bias, threads, {});
  });
}

}  // namespace evenkeel::ops::onednn
