// Short training runs: the network of the case's description, PyTorch's SGD, losses and final state.
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/ops/loss.h>
#include <evenkeel/optim/optim.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>
#include <set>

#include "cases.h"

namespace evenkeel::conformance {
namespace {

/// "Linear(784,256)" → {"Linear", {784, 256}}; named arguments such as pad=1 keep their value.
struct Word {
  std::string name;
  std::vector<std::int64_t> arguments;
};

std::vector<Word> parse(const std::string& model) {
  const std::string layers = model.substr(0, model.find_first_of(";"));
  std::vector<Word> words;
  const std::regex word(R"(([A-Za-z0-9]+)(?:\(([^)]*)\))?)");
  std::string head = layers;
  if (const auto comma = head.find(", input"); comma != std::string::npos) head.resize(comma);
  for (std::sregex_iterator it(head.begin(), head.end(), word), end; it != end; ++it) {
    Word w{(*it)[1].str(), {}};
    const std::string arguments = (*it)[2].str();
    const std::regex number(R"((\d+))");
    for (std::sregex_iterator n(arguments.begin(), arguments.end(), number); n != end; ++n) {
      w.arguments.push_back(std::stoll((*n)[1].str()));
    }
    words.push_back(w);
  }
  return words;
}

/// The layer that a word stands for, given the channels before it; null if there is none.
std::unique_ptr<nn::Module> layer_of(const Word& w, std::int64_t& channels) {
  const auto& a = w.arguments;
  if (w.name == "Linear") {
    channels = a.at(1);
    return nn::make_layer("Linear", {{"in_features", a.at(0)}, {"out_features", a.at(1)}});
  }
  if (w.name == "Conv2d") {
    channels = a.at(1);
    return nn::make_layer("Conv2d", {{"in_channels", a.at(0)},
                                     {"out_channels", a.at(1)},
                                     {"kernel_size", a.at(2)},
                                     {"padding", a.size() > 3 ? a.at(3) : 0}});
  }
  if (w.name == "BN1d" || w.name == "BN2d") {
    return nn::make_layer(w.name == "BN1d" ? "BatchNorm1d" : "BatchNorm2d",
                          {{"num_features", channels}});
  }
  if (w.name == "LayerNorm") return nn::make_layer("LayerNorm", {{"normalized_shape", channels}});
  if (w.name == "GroupNorm") {
    return nn::make_layer("GroupNorm", {{"num_groups", a.at(0)}, {"num_channels", a.at(1)}});
  }
  if (w.name == "MaxPool2d") return nn::make_layer("MaxPool2d", {{"kernel_size", a.at(0)}});
  if (w.name == "ReLU" || w.name == "Flatten") return nn::make_layer(w.name, {});
  return nullptr;
}

std::unique_ptr<nn::Sequential> build(const Case& c) {
  auto network = std::make_unique<nn::Sequential>();
  std::int64_t channels = 0;
  for (const Word& w : parse(c.attributes.at("model"))) {
    auto layer = layer_of(w, channels);
    if (!layer) return nullptr;
    network->add(std::move(layer));
  }
  return network;
}

/// All samples of the case as x = u8/256, in the network's shape.
Tensor samples(const Case& c, DType dtype, Layout layout) {
  Tensor x = c.shared_input("x_u8").to(DType::f64);
  for (double& v : x.span<double>()) v /= 256;
  std::smatch match;
  const std::string model = c.attributes.at("model");
  if (std::regex_search(model, match, std::regex(R"(input (\d+)x(\d+)x(\d+))"))) {
    x = x.reshape({x.dim(0), std::stoll(match[1]), std::stoll(match[2]), std::stoll(match[3])});
  } else if (model.rfind("Conv2d(3,", 0) == 0 && x.numel() == x.dim(0) * 3 * 12 * 10) {
    x = x.reshape({x.dim(0), 3, 12, 10});  // the group norm cases leave the size of the images out
  }
  return x.to(dtype).to(layout);
}

Tensor rows_from(const Tensor& all, std::int64_t begin, std::int64_t count) {
  return all.slice(begin, begin + count).clone();
}

class TrainingRun {
 public:
  TrainingRun(const Case& c, DType dtype, Layout layout, std::string tier)
      : case_(c), tier_(std::move(tier)), network_(build(c)), x_(samples(c, dtype, layout)) {
    nn::StateDict state;
    for (const auto& [name, entry] : c.shared.items()) {
      if (name.rfind("init.", 0) == 0) state.emplace_back(name.substr(5), c.shared_input(name));
    }
    for (const auto& [name, tensor] : network_->state_dict()) {
      if (name.ends_with("num_batches_tracked")) {
        state.emplace_back(name, Tensor::zeros(Shape{}, DType::i64));
      }
    }
    network_->to(dtype);
    network_->load_state_dict(state);
  }

  void run() {
    const auto& a = case_.attributes;
    const std::int64_t steps = a.at("steps"), batch = a.at("batch");
    const double lr = a.at("lr");
    const Tensor label_tensor = case_.shared_input("labels").to(DType::i32);
    const auto labels = label_tensor.span<std::int32_t>();
    optim::Sgd sgd(optim::make_groups(*network_, {.weight_decay = a.at("weight_decay"),
                                                  .decay_norm = true,
                                                  .decay_bias = true}),
                   {.momentum = a.at("momentum"), .nesterov = a.at("nesterov")});
    Tensor losses = Tensor::zeros({steps}, DType::f64);
    for (std::int64_t step = 0; step < steps; ++step) {
      const std::int64_t begin = step * batch % x_.dim(0);
      network_->zero_grad();
      const Tensor logits = network_->forward(rows_from(x_, begin, batch));
      if (step == 0) check("logits_step0", logits);
      Tensor dlogits = Tensor::like(logits);
      losses.span<double>()[static_cast<std::size_t>(step)] = ops::softmax_cross_entropy(
          logits, labels.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(batch)),
          0.0, &dlogits);
      network_->backward(dlogits);
      if (step == 0) check_gradients();
      sgd.step(lr);
    }
    check("loss", losses);
    for (const auto& [name, tensor] : network_->state_dict()) {
      if (name.ends_with("num_batches_tracked")) {
        EXPECT_EQ(tensor.item(), a.at(name).get<double>()) << name;
      } else {
        check("final." + name, tensor);
      }
    }
    network_->eval();
    check("logits_eval_final", network_->forward(rows_from(x_, 0, batch)));
    for (const std::string& name : case_.expected()) {
      EXPECT_TRUE(checked_.count(name) == 1) << name << " is expected but was not computed";
    }
  }

 private:
  void check(const std::string& name, const Tensor& got) {
    if (!case_.has(name)) return;
    expect_close(case_, name, got, tier_);
    checked_.insert(name);
  }

  void check_gradients() {
    for (const auto& [name, parameter] : network_->parameters()) {
      check("grad0." + name, parameter->grad);
    }
  }

  const Case& case_;
  std::string tier_;
  std::unique_ptr<nn::Sequential> network_;
  Tensor x_;
  std::set<std::string> checked_;
};

}  // namespace

bool can_train(const Case& c) { return build(c) != nullptr; }

void run_training(const Case& c) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    {
      SCOPED_TRACE(fmt::format("f64 {}", name_of(layout)));
      TrainingRun(c, DType::f64, layout, "f64").run();
    }
    SCOPED_TRACE(fmt::format("f32 {}", name_of(layout)));
    TrainingRun(c, DType::f32, layout, "tight").run();
  }
}

}  // namespace evenkeel::conformance
