#include <array>

#include "nn/layers/checks.h"
#include "nn/layers/join.h"
#include "nn/layers/momentum_options.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/attention.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/encoder.h>
#include <evenkeel/nn/layers/gelu.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/layer_norm.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/rms_norm.h>

namespace evenkeel::nn {
namespace {

// The children by number.
constexpr std::size_t kAttention = 0;
constexpr std::size_t kLinear1 = 1;
constexpr std::size_t kLinear2 = 2;
constexpr std::size_t kNorm1 = 3;
constexpr std::size_t kNorm2 = 4;
constexpr std::size_t kActivation = 5;
constexpr std::size_t kDropout = 6;   // behind the activation
constexpr std::size_t kDropout1 = 7;  // behind the attention
constexpr std::size_t kDropout2 = 8;  // behind the feed-forward part
/// The feed-forward part in order.
constexpr std::array kFeed{kLinear1, kActivation, kDropout, kLinear2, kDropout2};

std::unique_ptr<Module> make_norm(const EncoderOptions& options, std::int64_t embed) {
  const std::string& kind = options.norm;
  const double eps = options.eps;
  if (kind == "layer") return to_owned(LayerNorm({embed}, {.eps = eps}));
  if (kind == "rms") return to_owned(RMSNorm({embed}, {.eps = eps}));
  if (kind == "batch")
    return to_owned(BatchNorm1d(embed, {.eps = eps, .momentum = options.momentum}));
  if (kind == "none") return to_owned(Identity());
  fail<UsageError>("[EncoderLayer] norm is layer, rms, batch or none, not '{}'{}", kind,
                   did_you_mean(kind, {"layer", "rms", "batch", "none"}));
}

std::unique_ptr<Module> make_activation(const std::string& name) {
  if (name == "gelu") return to_owned(GELU());
  if (name == "relu") return to_owned(ReLU());
  fail<UsageError>("[EncoderLayer] activation is relu or gelu, not '{}'{}", name,
                   did_you_mean(name, {"relu", "gelu"}));
}

}  // namespace

EncoderLayer::EncoderLayer(std::int64_t embed_dim, std::int64_t num_heads, EncoderOptions options)
    : embed_(embed_dim), heads_(num_heads), options_(std::move(options)) {
  expect_at_least("EncoderLayer", "embed_dim", embed_, 1);
  expect_at_least("EncoderLayer", "feedforward_dim", options_.feedforward_dim, 0);
  if (options_.feedforward_dim == 0) options_.feedforward_dim = 4 * embed_;
  const std::int64_t wide = options_.feedforward_dim;
  const double p = options_.dropout;
  register_child("self_attn", to_owned(MultiheadAttention(embed_, heads_, {.dropout = p})));
  register_child("linear1", to_owned(Linear(embed_, wide)));
  register_child("linear2", to_owned(Linear(wide, embed_)));
  register_child("norm1", make_norm(options_, embed_));
  register_child("norm2", make_norm(options_, embed_));
  register_child("activation", make_activation(options_.activation));
  register_child("dropout", to_owned(Dropout(p)));
  register_child("dropout1", to_owned(Dropout(p)));
  register_child("dropout2", to_owned(Dropout(p)));
}

Options EncoderLayer::options() const {
  Options result{{"embed_dim", embed_},
                 {"num_heads", heads_},
                 {"feedforward_dim", options_.feedforward_dim},
                 {"norm", options_.norm},
                 {"norm_first", options_.norm_first},
                 {"activation", options_.activation},
                 {"dropout", options_.dropout},
                 {"eps", options_.eps}};
  if (options_.norm == "batch") put_momentum(options_.momentum, result);
  return result;
}

MultiheadAttention& EncoderLayer::attention() {
  return static_cast<MultiheadAttention&>(child(kAttention));
}

void EncoderLayer::replace(std::size_t /*i*/, std::unique_ptr<Module> /*layer*/) {
  fail<UsageError>("[{}] its layers are of fixed kinds and cannot be replaced", label());
}

Shape EncoderLayer::output_shape(const Shape& input) const {
  expect_sequences(*this, input, embed_);
  return input;
}

std::vector<Shape> EncoderLayer::child_inputs(const Shape& input) const {
  const std::int64_t steps = input[0] * input[2];
  std::vector<Shape> shapes(child_count(), {steps, embed_});
  shapes[kAttention] = input;
  for (const std::size_t inner : {kLinear2, kActivation, kDropout}) {
    shapes[inner] = {steps, options_.feedforward_dim};
  }
  return shapes;
}

Tensor EncoderLayer::feed(const Tensor& x) {
  Tensor y = x;
  for (const std::size_t i : kFeed) y = forward_child(i, y);
  return y;
}

Tensor EncoderLayer::feed_back(const Tensor& dy) {
  Tensor gradient = dy;
  for (std::size_t i = kFeed.size(); i-- > 0;) gradient = backward_child(kFeed[i], gradient);
  return gradient;
}

Tensor EncoderLayer::run_forward(Tensor x) {
  expect_dtype(*this, x, *child(kLinear1).parameters().front().parameter);
  const auto rows = std::make_shared<const SequenceRows>(valid_steps(*this, x.shape()), x.dim(2),
                                                         RowOrder::by_sequence);
  const Tensor in = rows->gather(x);
  const auto attend = [&](const Tensor& r) {
    const Tensor attended = attention().forward_rows(rows, r);
    show_output(kAttention, attended);
    return forward_child(kDropout1, attended);
  };
  Tensor out;
  if (options_.norm_first) {
    const Tensor middle = sum(in, attend(forward_child(kNorm1, in)));
    out = sum(middle, feed(forward_child(kNorm2, middle)));
  } else {
    const Tensor middle = forward_child(kNorm1, sum(in, attend(in)));
    out = forward_child(kNorm2, sum(middle, feed(middle)));
  }
  Tensor z = rows->scatter(out, x.layout());
  if (recording()) saved_.push({rows, x.dtype(), x.layout()});
  return z;
}

Tensor EncoderLayer::run_backward(Tensor dy) {
  const Saved& saved = saved_.top(*this);
  const SequenceRows& rows = *saved.rows;
  const Tensor gradient =
      rows.gather(expect_gradient(*this, dy, rows.shape(embed_), saved.dtype, saved.layout));
  const auto attend_back = [&](const Tensor& g) {
    const Tensor attended = backward_child(kDropout1, g);
    show_gradient(kAttention, attended);
    return attention().backward_rows(attended);
  };
  Tensor dx;
  if (options_.norm_first) {
    const Tensor middle = sum(gradient, backward_child(kNorm2, feed_back(gradient)));
    dx = sum(middle, backward_child(kNorm1, attend_back(middle)));
  } else {
    const Tensor outer = backward_child(kNorm2, gradient);
    const Tensor inner = backward_child(kNorm1, sum(outer, feed_back(outer)));
    dx = sum(inner, attend_back(inner));
  }
  Tensor result = rows.scatter(dx, saved.layout);
  saved_.pop();
  return result;
}

LayerRow encoder_layer_row() {
  LayerRow row;
  row.name = "EncoderLayer";
  row.help =
      "self-attention and a feed-forward part over [N, C, T]: embed_dim, num_heads, "
      "feedforward_dim, norm (layer, rms, batch, none), norm_first, activation (relu, gelu), "
      "dropout, eps, momentum or decay or cumulative";
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    EncoderOptions settings;
    settings.feedforward_dim = options.get("feedforward_dim", settings.feedforward_dim);
    settings.norm = options.get("norm", settings.norm);
    settings.norm_first = options.get("norm_first", settings.norm_first);
    settings.activation = options.get("activation", settings.activation);
    settings.dropout = options.get("dropout", settings.dropout);
    settings.eps = options.get("eps", settings.eps);
    if (settings.norm == "batch") settings.momentum = get_momentum(options, settings.momentum);
    const std::int64_t embed = options.require_int("embed_dim", "EncoderLayer");
    return std::make_unique<EncoderLayer>(embed, options.require_int("num_heads", "EncoderLayer"),
                                          settings);
  };
  const Options sizes{{"embed_dim", std::int64_t{4}},
                      {"num_heads", std::int64_t{2}},
                      {"feedforward_dim", std::int64_t{5}}};
  const std::vector<Options> variants{
      {{"dropout", 0.0}},
      {{"norm", std::string("rms")}, {"dropout", 0.0}},
      {{"norm_first", false}, {"eps", 1e-3}},
      {{"norm", std::string("batch")}, {"norm_first", false}, {"dropout", 0.0}, {"momentum", 0.3}},
      {{"norm", std::string("none")}}};
  for (const Options& variant : variants) {
    Options options = sizes;
    for (const auto& [key, value] : variant.values()) options.set(key, value);
    row.samples.push_back({options, {3, 4, 3}});
  }
  return row;
}

}  // namespace evenkeel::nn
