// Attention, encoder layers and positions over sequences of different lengths.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/gradient_check.h"
#include "nn/recurrent_reference.h"
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/attention.h>
#include <evenkeel/nn/layers/encoder.h>
#include <evenkeel/nn/layers/positional.h>

namespace evenkeel::nn {
namespace {

using testing::difference_to;
using testing::identical;
using testing::max_difference;
using testing::message_of;
using testing::random_tensor;
using testing::Row;
using testing::Sequence;
using testing::sequences_of;

const std::vector<std::int64_t> kRagged{2, 4, 1, 0, 4, 3};

/// The layers in plain loops, from their equations.
class EncoderReference {
 public:
  EncoderReference(Module& layer, std::int64_t heads) : heads_(static_cast<std::size_t>(heads)) {
    for (const auto& [name, tensor] : layer.state_dict()) {
      const Tensor wide = tensor.to(DType::f64);
      const auto values = wide.span<double>();
      state_[name] = Row(values.begin(), values.end());
    }
  }

  Sequence attend(const Sequence& x, const std::string& prefix) const {
    std::vector<Row> projected;
    for (const Row& row : x) {
      projected.push_back(linear(row, prefix + "in_proj_weight", prefix + "in_proj_bias"));
    }
    Sequence y;
    for (std::size_t t = 0; t < x.size(); ++t) {
      y.push_back(linear(mix(projected, t, x[t].size()), prefix + "out_proj.weight",
                         prefix + "out_proj.bias"));
    }
    return y;
  }

  Sequence encode(const Sequence& x, const EncoderOptions& options) const {
    const bool first = options.norm_first;
    Sequence middle = attend(first ? normalized(x, "norm1", options) : x, "self_attn.");
    add(middle, x);
    if (!first) middle = normalized(middle, "norm1", options);
    Sequence out = first ? normalized(middle, "norm2", options) : middle;
    for (Row& row : out) {
      row = linear(row, "linear1.weight", "linear1.bias");
      for (double& v : row) {
        v = options.activation == "relu" ? std::max(v, 0.0)
                                         : v * (1 + std::erf(v / std::sqrt(2.0))) / 2;
      }
      row = linear(row, "linear2.weight", "linear2.bias");
    }
    add(out, middle);
    return first ? out : normalized(out, "norm2", options);
  }

 private:
  Row linear(const Row& x, const std::string& weight, const std::string& bias) const {
    const Row& w = state_.at(weight);
    const auto b = state_.find(bias);
    Row y(w.size() / x.size(), 0.0);
    for (std::size_t i = 0; i < y.size(); ++i) {
      if (b != state_.end()) y[i] = b->second[i];
      for (std::size_t j = 0; j < x.size(); ++j) y[i] += w[i * x.size() + j] * x[j];
    }
    return y;
  }

  Row mix(const std::vector<Row>& projected, std::size_t t, std::size_t embed) const {
    const std::size_t width = embed / heads_;
    Row result(embed, 0.0);
    for (std::size_t h = 0; h < heads_; ++h) {
      Row weights;
      double total = 0;
      for (const Row& other : projected) {
        double score = 0;
        for (std::size_t k = h * width; k < (h + 1) * width; ++k) {
          score += projected[t][k] * other[embed + k];
        }
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(width))));
        total += weights.back();
      }
      for (std::size_t s = 0; s < projected.size(); ++s) {
        for (std::size_t k = h * width; k < (h + 1) * width; ++k) {
          result[k] += weights[s] / total * projected[s][2 * embed + k];
        }
      }
    }
    return result;
  }

  Sequence normalized(Sequence x, const std::string& name, const EncoderOptions& options) const {
    for (Row& row : x) {
      const auto n = static_cast<double>(row.size());
      double mean = 0, var = 0;
      if (options.norm == "layer") {
        for (const double v : row) mean += v / n;
      }
      for (const double v : row) var += (v - mean) * (v - mean) / n;
      if (options.norm == "none") continue;
      for (std::size_t c = 0; c < row.size(); ++c) {
        double centre = mean, spread = var;
        if (options.norm == "batch") {
          centre = state_.at(name + ".running_mean")[c];
          spread = state_.at(name + ".running_var")[c];
        }
        row[c] =
            state_.at(name + ".weight")[c] * (row[c] - centre) / std::sqrt(spread + options.eps);
        if (options.norm != "rms") row[c] += state_.at(name + ".bias")[c];
      }
    }
    return x;
  }

  static void add(Sequence& x, const Sequence& y) {
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (std::size_t c = 0; c < x[t].size(); ++c) x[t][c] += y[t][c];
    }
  }

  std::size_t heads_;
  std::map<std::string, Row> state_;
};

/// As a training would leave it: no parameter is 0 or 1.
void disturb(Module& module) {
  std::uint64_t seed = 70;
  for (const auto& [name, parameter] : module.parameters()) {
    parameter->value.copy_from(random_tensor(parameter->value.shape(), ++seed));
  }
  for (const auto& [name, buffer] : module.buffers()) {
    if (buffer->value.dtype() == DType::f64) buffer->value.fill(0.3 + 0.01 * double(++seed));
  }
}

struct Variant {
  std::string name, type;
  Options options;
};

std::vector<Variant> variants() {
  const std::int64_t four = 4, two = 2;
  const Options attention{{"embed_dim", four}, {"num_heads", two}};
  std::vector<Variant> result{{"attention", "MultiheadAttention", attention}};
  const auto add = [&](const std::string& name, const std::string& type, const Options& base,
                       const Options& more) {
    Options options = base;
    for (const auto& [key, value] : more.values()) options.set(key, value);
    result.push_back({name, type, options});
  };
  add("attention_without_bias", "MultiheadAttention", attention, {{"bias", false}});
  add("attention_dropout", "MultiheadAttention", attention, {{"dropout", 0.3}});
  for (const std::string norm : {"layer", "rms", "batch", "none"}) {
    for (const bool first : {true, false}) {
      add("encoder_" + norm + (first ? "_before" : "_behind"), "EncoderLayer", attention,
          {{"feedforward_dim", std::int64_t{5}},
           {"norm", norm},
           {"norm_first", first},
           {"dropout", 0.0}});
    }
  }
  add("encoder_dropout", "EncoderLayer", attention, {{"dropout", 0.4}});
  add("positions", "PositionalEncoding", {{"channels", four}}, {});
  add("learned_positions", "PositionalEncoding", {{"channels", four}},
      {{"kind", std::string("learned")}, {"max_steps", four}});
  add("mean_over_time", "MeanOverTime", {}, {});
  add("last_step", "LastStep", {}, {});
  add("last_step_both_ways", "LastStep", {}, {{"bidirectional", true}});
  return result;
}

class EverySequenceLayer : public ::testing::TestWithParam<Variant> {
 protected:
  static std::unique_ptr<Module> layer() {
    auto result = make_layer(GetParam().type, GetParam().options);
    result->initialize(5);
    result->set_lengths(Lengths(kRagged));
    return result;
  }
  static Tensor input(std::uint64_t seed, DType dtype = DType::f32,
                      Layout layout = Layout::channels_last) {
    return random_tensor({6, 4, 4}, seed, dtype, layout);
  }
};

INSTANTIATE_TEST_SUITE_P(Variants, EverySequenceLayer, ::testing::ValuesIn(variants()),
                         [](const auto& one) { return one.param.name; });

TEST_P(EverySequenceLayer, gradients_are_those_of_central_differences) {
  for (const bool training : {true, false}) {
    auto net = layer();
    if (!training) disturb(*net);
    net->train(training);
    const Layout order = training ? Layout::channels_last : Layout::channels_first;
    const auto report = testing::check_gradients(*net, input(2, DType::f64, order));
    EXPECT_LE(report.error, testing::kGradientTolerance)
        << report.where << ", training: " << training;
  }
}

TEST_P(EverySequenceLayer, padding_enters_nothing) {
  auto net = layer();
  auto other = net->clone();
  const Tensor x = input(5);
  Tensor spoiled = x.clone();
  for (std::int64_t n = 0; n < 6; ++n) {
    for (std::int64_t t = kRagged[static_cast<std::size_t>(n)]; t < 4; ++t) {
      for (std::int64_t c = 0; c < 4; ++c) spoiled.data<float>()[(n * 4 + t) * 4 + c] = NAN;
    }
  }
  const Tensor y = net->forward(x);
  EXPECT_TRUE(identical(y, other->forward(spoiled)));
  EXPECT_TRUE(identical(net->backward(y), other->backward(y)));
  const StateDict state = net->state_dict();
  for (std::size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(identical(state[i].second, other->state_dict()[i].second)) << state[i].first;
  }
}

TEST_P(EverySequenceLayer, a_sequence_in_a_batch_is_the_sequence_alone) {
  auto net = layer();
  disturb(*net);
  net->to(DType::f64);
  net->eval();
  const Tensor x = input(6, DType::f64);
  const Tensor y = net->forward(x).to(Layout::channels_last);
  net->set_lengths({});
  for (std::int64_t n = 0; n < 6; ++n) {
    const std::int64_t steps = kRagged[static_cast<std::size_t>(n)];
    if (steps == 0) continue;
    Tensor one = Tensor::empty({1, 4, steps}, DType::f64, Layout::channels_last);
    std::copy_n(x.slice(n, n + 1).data<double>(), one.numel(), one.data<double>());
    const Tensor alone = net->forward(one);
    const Tensor together = y.slice(n, n + 1);
    for (std::int64_t i = 0; i < alone.numel(); ++i) {
      EXPECT_NEAR(alone.data<double>()[i], together.data<double>()[i], 1e-13);
    }
  }
}

TEST_P(EverySequenceLayer, both_layouts_give_the_same_bits) {
  auto net = layer();
  net->eval();
  const Tensor x = input(8);
  EXPECT_TRUE(identical(net->forward(x.to(Layout::channels_first)).to(Layout::channels_last),
                        net->forward(x).to(Layout::channels_last)));
}

TEST_P(EverySequenceLayer, lengths_that_do_not_fit_are_refused_by_name) {
  auto net = layer();
  const auto message = [&](std::vector<std::int64_t> lengths) {
    net->set_lengths(Lengths(std::move(lengths)));
    return message_of<ShapeError>([&] { net->forward(input(1)); });
  };
  EXPECT_EQ(message({1, 1, 1, 5, 1, 1}).find("[" + GetParam().type + "]"), 0U);
  EXPECT_NE(message({1, 1, 1, 5, 1, 1}).find("got 5 for sequence 3"), std::string::npos);
  EXPECT_NE(message({0, 0, 0, 0, 0, 0}).find("without any"), std::string::npos);
  EXPECT_NE(message({4, 4, 4}).find("got 3 lengths"), std::string::npos);
  EXPECT_THROW(net->backward(input(1)), StateError) << "something was saved";
}

TEST(Attention, equals_its_equations_written_as_loops) {
  for (const std::int64_t heads : {1, 2, 4}) {
    MultiheadAttention layer(4, heads);
    disturb(layer);
    layer.to(DType::f64);
    layer.set_lengths(Lengths(kRagged));
    const Tensor x = random_tensor({6, 4, 4}, 1, DType::f64);
    const EncoderReference reference(layer, heads);
    std::vector<Sequence> wanted;
    for (const Sequence& one : sequences_of(x, kRagged)) {
      wanted.push_back(reference.attend(one, ""));
    }
    EXPECT_LE(difference_to(layer.forward(x), wanted), 1e-13);
    layer.to(DType::f32);
    EXPECT_LE(difference_to(layer.forward(x.to(DType::f32)), wanted), 1e-5);
  }
}

TEST(Encoder, equals_its_equations_written_as_loops) {
  for (const std::string norm : {"layer", "rms", "batch", "none"}) {
    for (const bool first : {true, false}) {
      const EncoderOptions options{.feedforward_dim = 7,
                                   .norm = norm,
                                   .norm_first = first,
                                   .activation = first ? "relu" : "gelu",
                                   .eps = 1e-3};
      EncoderLayer layer(4, 2, options);
      disturb(layer);
      layer.to(DType::f64);
      layer.eval();
      layer.set_lengths(Lengths(kRagged));
      const Tensor x = random_tensor({6, 4, 4}, 1, DType::f64);
      const EncoderReference reference(layer, 2);
      std::vector<Sequence> wanted;
      for (const Sequence& one : sequences_of(x, kRagged)) {
        wanted.push_back(reference.encode(one, options));
      }
      EXPECT_LE(difference_to(layer.forward(x), wanted), 1e-12) << norm << first;
    }
  }
}

TEST(Encoder, batch_norm_takes_its_statistics_over_valid_steps) {
  EncoderLayer layer(4, 2, {.norm = "batch", .dropout = 0});
  layer.set_lengths(Lengths(kRagged));
  const Tensor x = random_tensor({6, 4, 4}, 3, DType::f32);
  layer.forward(x);
  Row mean(4, 0.0);
  for (const Sequence& one : sequences_of(x, kRagged)) {
    for (const Row& row : one) {
      for (std::size_t c = 0; c < 4; ++c) mean[c] += row[c] / 14;
    }
  }
  for (const auto& [name, buffer] : layer.buffers()) {
    if (name != "norm1.running_mean") continue;
    for (std::size_t c = 0; c < 4; ++c) {
      EXPECT_NEAR(buffer->value.span<double>()[c], 0.1 * mean[c], 1e-7);
    }
  }
}

TEST(Encoder, names_are_those_of_pytorch) {
  EncoderLayer layer(4, 2);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : layer.state_dict(/*exported_only=*/true)) {
    names.push_back(name);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{
                "self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight",
                "self_attn.out_proj.bias", "linear1.weight", "linear1.bias", "linear2.weight",
                "linear2.bias", "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"}));
}

TEST(Encoder, options_out_of_range_are_refused) {
  EXPECT_NE(message_of<UsageError>([] { MultiheadAttention(6, 4); }).find("4 heads for 6"),
            std::string::npos);
  EXPECT_NE(message_of<UsageError>([] {
              EncoderLayer(4, 2, {.norm = "layr"});
            }).find("did you mean 'layer'?"),
            std::string::npos);
  EXPECT_NE(message_of<UsageError>([] {
              EncoderLayer(4, 2, {.activation = "tanh"});
            }).find("relu or gelu, not 'tanh'"),
            std::string::npos);
  EXPECT_THROW(EncoderLayer(4, 2, {.dropout = 1}), UsageError);
}

TEST(Positions, sinusoids_are_those_of_the_paper) {
  PositionalEncoding layer(4);
  const Tensor y = layer.forward(Tensor::zeros({1, 4, 3}));
  for (std::int64_t t = 0; t < 3; ++t) {
    const auto step = static_cast<double>(t);
    const std::array wanted{std::sin(step), std::cos(step), std::sin(step / 100),
                            std::cos(step / 100)};
    for (std::int64_t c = 0; c < 4; ++c) {
      EXPECT_NEAR(static_cast<double>(y.data<float>()[c * 3 + t]),
                  wanted[static_cast<std::size_t>(c)], 1e-7);
    }
  }
}

TEST(Positions, learned_ones_end_where_they_end) {
  PositionalEncoding layer(4, {.kind = PositionKind::learned, .max_steps = 3});
  const Tensor x = random_tensor({2, 4, 5}, 1);
  EXPECT_EQ(message_of<ShapeError>([&] { layer.forward(x); }),
            "[PositionalEncoding] expected sequences of at most 3 steps, for which it has "
            "positions, got one of 5; raise max_steps, or use kind = \"sinusoidal\"");
  layer.set_lengths(Lengths({3, 2}));
  EXPECT_NO_THROW(layer.forward(x)) << "the padding is longer, no sequence is";
}

TEST(TimePool, takes_valid_steps_alone) {
  auto mean = make_layer("MeanOverTime");
  auto last = make_layer("LastStep");
  auto both = make_layer("LastStep", {{"bidirectional", true}});
  for (Module* const layer : {mean.get(), last.get(), both.get()}) {
    layer->set_lengths(Lengths({2, 0, 3}));
  }
  const Tensor x = Tensor::from({1.F, 2.F, 9.F, 3.F, 5.F, 9.F,   // channels 0 and 1 of sequence 0
                                 9.F, 9.F, 9.F, 9.F, 9.F, 9.F,   //
                                 1.F, 2.F, 6.F, 0.F, 0.F, 3.F},  //
                                {3, 2, 3});
  const Shape shape{3, 2};
  EXPECT_TRUE(identical(mean->forward(x), Tensor::from({1.5F, 4.F, 0.F, 0.F, 3.F, 1.F}, shape)));
  EXPECT_TRUE(identical(last->forward(x), Tensor::from({2.F, 5.F, 0.F, 0.F, 6.F, 3.F}, shape)));
  EXPECT_TRUE(identical(both->forward(x), Tensor::from({2.F, 3.F, 0.F, 0.F, 6.F, 0.F}, shape)));
  EXPECT_NE(message_of<ShapeError>([&] {
              both->forward(random_tensor({3, 3, 3}, 1));
            }).find("even number of channels"),
            std::string::npos);
}

}  // namespace
}  // namespace evenkeel::nn
