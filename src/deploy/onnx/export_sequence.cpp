// Layers over sequences [N, C, T]. The model has the number of steps of the sample that it is
// written for, all of them valid: lengths are not part of it.

#include <cmath>

#include "deploy/onnx/exporter.h"
#include <evenkeel/nn/layers/attention.h>
#include <evenkeel/nn/layers/encoder.h>
#include <evenkeel/nn/layers/positional.h>
#include <evenkeel/nn/layers/time_pool.h>

namespace evenkeel::deploy {
namespace {

using Integers = std::vector<std::int64_t>;

std::string transposed(Exporter& exporter, const std::string& x, const Integers& order,
                       const std::string& name) {
  return exporter.node("Transpose", {x}, {{"perm", order}}, name);
}

/// [N, C, T] as rows [N·T, C], and back.
std::string to_rows(Exporter& exporter, const Symbol& x, const std::string& name) {
  const std::string steps = transposed(exporter, x.name, {0, 2, 1}, name + ".steps");
  return exporter.node("Reshape", {steps, exporter.integers({-1, x.shape[1]})}, {}, name + ".rows");
}
std::string from_rows(Exporter& exporter, const std::string& rows, const Shape& shape,
                      const std::string& name) {
  const std::string steps = exporter.node(
      "Reshape", {rows, exporter.integers({-1, shape[2], shape[1]})}, {}, name + ".sequences");
  return transposed(exporter, steps, {0, 2, 1}, name);
}

/// Of rows [N·T, E] to rows.
std::string attention_of_rows(Exporter& exporter, nn::MultiheadAttention& layer,
                              const std::string& rows, std::int64_t steps) {
  const std::string name = name_of(layer);
  const std::int64_t embed = layer.embed_dim();
  const std::int64_t heads = layer.options().get("num_heads", std::int64_t{1});
  const std::int64_t depth = embed / heads;
  if (exporter.training() && layer.options().get("dropout", 0.0) > 0) {
    exporter.note(layer.label() + ": the dropout of its weights is left out");
  }
  const Tensor weight = tensor_of(layer, "in_proj_weight"), bias = tensor_of(layer, "in_proj_bias");
  constexpr std::array<const char*, 3> kParts{"query", "key", "value"};
  std::array<std::string, 3> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto first = static_cast<std::int64_t>(i) * embed;
    const std::string part = name + "." + kParts[i];
    std::vector<std::string> inputs{
        rows, exporter.initializer(part + ".weight", weight.slice(first, first + embed))};
    if (bias.defined()) {
      inputs.push_back(exporter.initializer(part + ".bias", bias.slice(first, first + embed)));
    }
    const std::string projected =
        exporter.node("Gemm", inputs, {{"transB", std::int64_t{1}}}, part);
    const std::string apart = exporter.node(
        "Reshape", {projected, exporter.integers({-1, steps, heads, depth})}, {}, part + ".heads");
    // Keys with their steps last, for the product.
    const Integers order = i == 1 ? Integers{0, 2, 3, 1} : Integers{0, 2, 1, 3};
    parts[i] = transposed(exporter, apart, order, part + ".order");
  }
  const std::string products =
      exporter.node("MatMul", {parts[0], parts[1]}, {}, name + ".products");
  const double scale = 1 / std::sqrt(static_cast<double>(depth));
  const std::string scaled =
      exporter.node("Mul", {products, exporter.scalar(scale)}, {}, name + ".scaled");
  const std::string shares =
      exporter.node("Softmax", {scaled}, {{"axis", std::int64_t{-1}}}, name + ".shares");
  const std::string mixed = exporter.node("MatMul", {shares, parts[2]}, {}, name + ".mixed");
  const std::string together = transposed(exporter, mixed, {0, 2, 1, 3}, name + ".together");
  const std::string flat =
      exporter.node("Reshape", {together, exporter.integers({-1, embed})}, {}, name + ".flat");
  return exporter.node("Gemm",
                       {flat, weight_of(exporter, layer, "out_proj.weight"),
                        weight_of(exporter, layer, "out_proj.bias")},
                       {{"transB", std::int64_t{1}}}, name + ".out_proj");
}

}  // namespace

Symbol write_valid_steps(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  if (x.shape.rank() == 3) exporter.lose_lengths(layer);
  return x;
}

Symbol write_mean_over_time(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  exporter.lose_lengths(layer);
  return {exporter.node("ReduceMean", {x.name},
                        {{"axes", Integers{2}}, {"keepdims", std::int64_t{0}}}, name_of(layer)),
          {}};
}

Symbol write_last_step(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  exporter.lose_lengths(layer);
  const std::string name = name_of(layer);
  const auto step = [&](std::int64_t index, const std::string& suffix) {
    const std::string at = exporter.constant(Tensor::from({index}, {}));
    return exporter.node("Gather", {x.name, at}, {{"axis", std::int64_t{2}}}, name + suffix);
  };
  if (!layer.options().get("bidirectional", false)) return {step(-1, ""), {}};
  const std::int64_t half = x.shape[1] / 2;
  const auto channels = [&](const std::string& from, std::int64_t begin,
                            const std::string& suffix) {
    return exporter.node("Slice",
                         {from, exporter.integers({begin}), exporter.integers({begin + half}),
                          exporter.integers({1})},
                         {}, name + suffix);
  };
  const std::string forward = channels(step(-1, ".last"), 0, ".forward");
  const std::string backward = channels(step(0, ".first"), half, ".backward");
  return {exporter.node("Concat", {forward, backward}, {{"axis", std::int64_t{1}}}, name), {}};
}

/// What it adds is what it makes of zeros.
Symbol write_positional_encoding(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  exporter.lose_lengths(layer, x.shape[2]);
  const Tensor zeros = Tensor::zeros(x.shape.with(0, 1), exporter.dtype());
  const bool training = layer.training();
  layer.eval();
  const Tensor positions = layer.forward(zeros).reshape(x.shape.drop(1));
  layer.train(training);
  const std::string name = name_of(layer);
  const bool learned = tensor_of(layer, "weight").defined();
  const std::string added =
      learned ? exporter.initializer(name + ".positions", positions) : exporter.constant(positions);
  return {exporter.node("Add", {x.name, added}, {}, name), {}};
}

Symbol write_attention(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  exporter.lose_lengths(layer, x.shape[2]);
  const std::string name = name_of(layer);
  const std::string rows = to_rows(exporter, x, name);
  const std::string y =
      attention_of_rows(exporter, dynamic_cast<nn::MultiheadAttention&>(layer), rows, x.shape[2]);
  return {from_rows(exporter, y, x.shape, name), {}};
}

Symbol write_encoder_layer(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  exporter.lose_lengths(layer, x.shape[2]);
  const std::string name = name_of(layer);
  const std::int64_t embed = x.shape[1], steps = x.shape[2];
  const auto child = [&](std::string_view wanted) -> nn::Module& {
    for (std::size_t i = 0; i < layer.child_count(); ++i) {
      if (layer.child_name(i) == wanted) return layer.child(i);
    }
    fail<UsageError>("[onnx] {} has no part '{}'", layer.label(), wanted);
  };
  const auto on_rows = [&](std::string_view part, const std::string& rows, std::int64_t width) {
    return exporter.emit(child(part), {rows, {x.shape[0] * steps, width}}).name;
  };
  const auto sum = [&](const std::string& a, const std::string& b, const char* suffix) {
    return exporter.node("Add", {a, b}, {}, name + suffix);
  };
  const auto attend = [&](const std::string& rows) {
    auto& attention = dynamic_cast<nn::MultiheadAttention&>(child("self_attn"));
    return on_rows("dropout1", attention_of_rows(exporter, attention, rows, steps), embed);
  };
  const auto feed = [&](const std::string& rows) {
    const std::int64_t wide = layer.options().get("feedforward_dim", std::int64_t{0});
    std::string y = on_rows("linear1", rows, embed);
    y = on_rows("activation", y, wide);
    y = on_rows("dropout", y, wide);
    y = on_rows("linear2", y, wide);
    return on_rows("dropout2", y, embed);
  };
  std::string rows = to_rows(exporter, x, name);
  if (layer.options().get("norm_first", false)) {
    rows = sum(rows, attend(on_rows("norm1", rows, embed)), ".attended");
    rows = sum(rows, feed(on_rows("norm2", rows, embed)), ".fed");
  } else {
    rows = on_rows("norm1", sum(rows, attend(rows), ".attended"), embed);
    rows = on_rows("norm2", sum(rows, feed(rows), ".fed"), embed);
  }
  return {from_rows(exporter, rows, x.shape, name), {}};
}

}  // namespace evenkeel::deploy
