#include <array>

#include "nn/layers/momentum_options.h"
#include "nn/layers/recurrent_row.h"
#include "nn/layers/rows.h"
#include <evenkeel/core/error.h>
#include <evenkeel/nn/layers/lstm.h>

namespace evenkeel::nn {
namespace {

using Kind = RecurrentNormKind;

constexpr std::array<std::pair<std::string_view, Kind>, 3> kKinds{
    {{"none", Kind::none}, {"batch", Kind::batch}, {"layer", Kind::layer}}};

std::string name_of(Kind wanted) {
  for (const auto& [name, kind] : kKinds) {
    if (kind == wanted) return std::string(name);
  }
  return {};
}

Kind kind_of(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, kind] : kKinds) {
    if (name == known) return kind;
    names.emplace_back(known);
  }
  fail<UsageError>("[LSTM] norm is none, batch or layer, not '{}'{}", name,
                   did_you_mean(name, names));
}

/// Keys of another kind of norm are left, so that they are refused as unknown.
RecurrentNorm read_norm(const Options& options) {
  RecurrentNorm norm;
  norm.kind = kind_of(options.get("norm", std::string("none")));
  if (norm.kind == Kind::none) return norm;
  norm.eps = options.get("eps", norm.eps);
  if (options.contains("gamma")) norm.gamma = options.get("gamma", 1.0);
  if (options.contains("norm_cell")) norm.cell = options.get("norm_cell", false);
  if (norm.kind == Kind::layer) return norm;
  norm.momentum = get_momentum(options, norm.momentum);
  norm.max_steps = options.get("max_steps", norm.max_steps);
  norm.reuse = options.get("reuse", norm.reuse);
  return norm;
}

std::vector<LayerSample> samples() {
  std::vector<LayerSample> result = recurrent_samples();
  const std::int64_t two = 2;
  const std::vector<Options> variants{
      {{"norm", std::string("layer")}},
      {{"norm", std::string("layer")}, {"bias", false}, {"bidirectional", true}, {"eps", 1e-2}},
      {{"norm", std::string("layer")}, {"norm_cell", false}, {"gamma", 0.5}, {"eps", 1e-3}},
      {{"norm", std::string("batch")}, {"gamma", 0.7}},
      {{"norm", std::string("batch")}, {"bidirectional", true}, {"max_steps", two}},
      {{"norm", std::string("batch")}, {"num_layers", two}, {"cumulative", true}, {"bias", false}},
      {{"norm", std::string("batch")}, {"norm_cell", true}, {"eps", 1e-2}, {"momentum", 0.3}}};
  for (const Options& variant : variants) {
    Options options{{"input_size", std::int64_t{3}}, {"hidden_size", std::int64_t{4}}};
    for (const auto& [key, value] : variant.values()) options.set(key, value);
    result.push_back({options, {5, 3, 4}});
  }
  return result;
}

}  // namespace

Options LSTM::options() const {
  Options result = Recurrent::options();
  if (norm_.kind == Kind::none) return result;
  result.set("norm", name_of(norm_.kind));
  result.set("eps", norm_.eps);
  result.set("gamma", *norm_.gamma);
  result.set("norm_cell", *norm_.cell);
  if (norm_.kind == Kind::layer) return result;
  result.set("max_steps", norm_.max_steps);
  result.set("reuse", norm_.reuse);
  put_momentum(norm_.momentum, result);
  return result;
}

LayerRow lstm_row() {
  LayerRow row;
  row.name = "LSTM";
  row.help = "long short-term memory over [N, C, T]: " + std::string(kRecurrentKeys) +
             ", norm (none, batch, layer), eps, gamma, norm_cell, momentum or decay or cumulative, "
             "max_steps, reuse";
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    const RecurrentSizes sizes = read_recurrent_sizes(options, "LSTM");
    const RecurrentOptions shared = read_recurrent_options(options);
    return std::make_unique<LSTM>(sizes.input, sizes.hidden,
                                  LstmOptions{shared.num_layers, shared.bidirectional, shared.bias,
                                              shared.dropout, read_norm(options)});
  };
  row.samples = samples();
  return row;
}

}  // namespace evenkeel::nn
