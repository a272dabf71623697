#include <cmath>
#include <numeric>
#include <utility>

#include "nn/layers/checks.h"
#include "nn/layers/forget.h"
#include "nn/layers/random_state.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include "nn/rollback.h"
#include <evenkeel/core/stored.h>
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/attention.h>
#include <evenkeel/ops/attention.h>
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/linear.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x417474656e74;  // of the values a layer begins with

std::vector<std::int64_t> starts_of(const SequenceRows& rows) {
  std::vector<std::int64_t> starts{0};
  for (const auto& span : rows.spans()) starts.push_back(span.begin + span.running);
  return starts;
}

}  // namespace

struct MultiheadAttention::Saved {
  std::shared_ptr<const SequenceRows> rows;
  std::vector<std::int64_t> starts;
  Layout layout = Layout::channels_first;  // of forward's x, and its dtype
  DType dtype = DType::f32;
  Tensor x, qkv;
  Tensor weights, mask, dropped;  // of attention; mask undefined where nothing was dropped
  Tensor mixed;
};

MultiheadAttention::MultiheadAttention(std::int64_t embed_dim, std::int64_t num_heads,
                                       AttentionOptions options)
    : embed_(embed_dim), heads_(num_heads), options_(options) {
  expect_at_least("MultiheadAttention", "embed_dim", embed_, 1);
  expect_at_least("MultiheadAttention", "num_heads", heads_, 1);
  if (embed_ % heads_ != 0) {
    fail<UsageError>(
        "[MultiheadAttention] expected num_heads that divide embed_dim, got {} heads for {}; take "
        "another number of heads",
        heads_, embed_);
  }
  if (!(options_.dropout >= 0 && options_.dropout < 1)) {
    fail<UsageError>("[MultiheadAttention] expected 0 <= dropout < 1, got {}", options_.dropout);
  }
  in_weight_ = register_parameter("in_proj_weight", {3 * embed_, embed_}, ParameterKind::weight);
  if (options_.bias) {
    in_bias_ = register_parameter("in_proj_bias", {3 * embed_}, ParameterKind::bias);
  }
  out_weight_ = register_parameter("out_proj.weight", {embed_, embed_}, ParameterKind::weight);
  if (options_.bias) {
    out_bias_ = register_parameter("out_proj.bias", {embed_}, ParameterKind::bias);
  }
  if (options_.dropout > 0) {
    Tensor state = Tensor::zeros({3}, DType::i64);
    store_random(Random(0, kStream), state);
    random_ = register_buffer("random_state", std::move(state), /*exported=*/false);
  }
  Random random(0, kStream);
  MultiheadAttention::reset_parameters(random);
}

Options MultiheadAttention::options() const {
  return {{"embed_dim", embed_},
          {"num_heads", heads_},
          {"bias", options_.bias},
          {"dropout", options_.dropout}};
}

void MultiheadAttention::reset_parameters(Random& random) {
  init::xavier_uniform(parameter(in_weight_).value, random);
  const double bound = 1 / std::sqrt(static_cast<double>(embed_));
  init::uniform(parameter(out_weight_).value, random, -bound, bound);
  if (options_.bias) {
    parameter(in_bias_).value.fill(0);
    parameter(out_bias_).value.fill(0);
  }
  if (options_.dropout > 0) store_random(random.fork(kStream), buffer(random_));
}

Shape MultiheadAttention::output_shape(const Shape& input) const {
  expect_sequences(*this, input, embed_);
  return input;
}

Tensor MultiheadAttention::forward(const Tensor& x) {
  (void)output_shape(x.shape());
  expect_dtype(*this, x, parameter(in_weight_));
  const auto rows = std::make_shared<const SequenceRows>(valid_steps(*this, x.shape()), x.dim(2),
                                                         RowOrder::by_sequence);
  Rollback rollback(*this);
  const Tensor y = forward_rows(rows, rows->gather(x));
  if (recording()) saved_.top(*this)->layout = x.layout();
  Tensor result = rows->scatter(y, x.layout());
  rollback.keep();
  return result;
}

Tensor MultiheadAttention::forward_rows(std::shared_ptr<const SequenceRows> rows,
                                        const Tensor& in) {
  const Tensor x = in.to(parameter_dtype(in.dtype()));
  auto saved = std::make_shared<Saved>();
  saved->rows = std::move(rows);
  saved->starts = starts_of(*saved->rows);
  saved->x = x;
  saved->dtype = in.dtype();
  saved->qkv = Tensor::empty({x.dim(0), 3 * embed_}, x.dtype());
  ops::linear_forward(x, parameter(in_weight_).value, bias_of(in_bias_), saved->qkv);
  saved->weights = Tensor::empty({ops::attention_weight_count(saved->starts, heads_)}, x.dtype());
  ops::attention_weights(saved->qkv, saved->starts, heads_, saved->weights);
  saved->dropped = saved->weights;
  Random random;
  if (training() && options_.dropout > 0) {
    random = load_random(buffer(random_));
    saved->mask = Tensor::empty(saved->weights.shape(), DType::u8);
    saved->dropped = Tensor::like(saved->weights);
    ops::dropout_forward(saved->weights, options_.dropout, random, saved->mask, saved->dropped);
  }
  saved->mixed = Tensor::like(x);
  ops::attention_mix(saved->dropped, saved->qkv, saved->starts, heads_, saved->mixed);
  Tensor y = Tensor::like(x);
  ops::linear_forward(saved->mixed, parameter(out_weight_).value, bias_of(out_bias_), y);
  if (recording()) saved_.make_room();
  if (saved->mask.defined()) store_random(random, buffer(random_));
  if (recording()) saved_.push(std::move(saved));
  return y.to(in.dtype());
}

Tensor MultiheadAttention::backward(const Tensor& dy) {
  const auto saved = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, saved->rows->shape(embed_), saved->dtype, saved->layout);
  const Tensor dx = backward_rows(saved->rows->gather(gradient));
  return forget_on_failure(*this, [&] { return saved->rows->scatter(dx, saved->layout); });
}

Tensor MultiheadAttention::backward_rows(const Tensor& gradient) {
  const auto saved = saved_.top(*this);
  const Tensor dy = gradient.to(saved->x.dtype());
  const Tensor& qkv = saved->qkv;
  Tensor dmixed = Tensor::like(saved->mixed);
  Tensor dqkv = Tensor::like(qkv);
  Tensor dweights = Tensor::like(saved->weights);
  Tensor dx = Tensor::like(saved->x);
  ops::linear_backward_data(dy, parameter(out_weight_).value, dmixed);
  ops::attention_mix_backward(saved->dropped, qkv, dmixed, saved->starts, heads_, dweights, dqkv);
  if (saved->mask.defined()) {
    ops::dropout_backward(dweights, saved->mask, options_.dropout, dweights);
  }
  ops::attention_weights_backward(saved->weights, qkv, dweights, saved->starts, heads_, dqkv);
  ops::linear_backward_data(dqkv, parameter(in_weight_).value, dx);
  Tensor result = dx.to(saved->dtype);
  forget_on_failure(*this, [&] {
    Tensor none;
    ops::linear_backward_weight(saved->mixed, dy, parameter(out_weight_).grad,
                                options_.bias ? parameter(out_bias_).grad : none);
    ops::linear_backward_weight(saved->x, dqkv, parameter(in_weight_).grad,
                                options_.bias ? parameter(in_bias_).grad : none);
  });
  saved_.pop();
  return result;
}

LayerRow multihead_attention_row() {
  const std::int64_t two = 2;
  LayerRow row;
  row.name = "MultiheadAttention";
  row.help = "attention of [N, C, T] to itself: embed_dim, num_heads, bias, dropout";
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    AttentionOptions settings;
    settings.bias = options.get("bias", settings.bias);
    settings.dropout = options.get("dropout", settings.dropout);
    const std::int64_t embed = options.require_int("embed_dim", "MultiheadAttention");
    return std::make_unique<MultiheadAttention>(
        embed, options.require_int("num_heads", "MultiheadAttention"), settings);
  };
  row.samples = {
      {{{"embed_dim", std::int64_t{4}}, {"num_heads", two}}, {3, 4, 3}},
      {{{"embed_dim", std::int64_t{6}}, {"num_heads", std::int64_t{1}}, {"bias", false}},
       {2, 6, 4}},
      {{{"embed_dim", std::int64_t{4}}, {"num_heads", two}, {"dropout", 0.3}}, {2, 4, 3}}};
  return row;
}

}  // namespace evenkeel::nn
