// A network, as an ONNX file, and the network that is read from it: the same function, in eval and
// in training.
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "deploy/onnx_bytes.h"
#include "nn/tensors.h"
#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::deploy {
namespace {

using evenkeel::testing::max_difference;
using evenkeel::testing::random_tensor;

/// Parameters away from where they begin, running statistics of some batch.
void disturb(nn::Module& network) {
  std::uint64_t seed = 40;
  for (const auto& [name, parameter] : network.parameters()) {
    const Tensor noise = random_tensor(parameter->value.shape(), ++seed, parameter->value.dtype());
    Tensor& value = parameter->value;
    for (std::int64_t i = 0; i < value.numel(); ++i) {
      if (value.dtype() == DType::f32) value.data<float>()[i] += 0.1F * noise.data<float>()[i];
    }
  }
  for (const auto& [name, buffer] : network.buffers()) {
    if (name.ends_with("running_mean")) buffer->value.fill(0.25);
    if (name.ends_with("running_var")) buffer->value.fill(1.5);
  }
}

Shape batch_of(std::int64_t n, const Shape& sample) {
  std::vector<std::int64_t> dims{n};
  dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

ImportedModel through_file(const nn::Module& network, const Shape& sample,
                           const ExportOptions& options = {}) {
  const auto path = testing::test_folder() / "round_trip.onnx";
  export_onnx(network, sample, path, options);
  return import_onnx(path);
}

double largest_of(const Tensor& tensor) {
  double largest = 0;
  const Tensor wide = tensor.to(DType::f64);
  for (const double value : wide.span<double>()) largest = std::max(largest, std::abs(value));
  return largest;
}

/// The largest difference over the largest value, or over `least` where that is more.
double difference(const Tensor& a, const Tensor& b, double least = 1e-30) {
  return max_difference(a, b) / std::max(largest_of(b), least);
}

/// Without extents of 1.
std::vector<std::int64_t> squeezed(const Shape& shape) {
  std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
  std::erase(dims, 1);
  return dims;
}

constexpr double kTolerance = 2e-6;

/// y, dx and gradients of both, by the state dict's names.
void expect_same_training(nn::Module& network, nn::Module& other, const Tensor& x) {
  network.train();
  other.train();
  network.zero_grad();
  other.zero_grad();
  const Tensor y = network.forward(x), z = other.forward(x);
  ASSERT_LE(difference(z, y), kTolerance * 10);
  const Tensor dy = random_tensor(y.shape(), 7, y.dtype());
  EXPECT_LE(difference(other.backward(dy.to(z.layout())), network.backward(dy.to(y.layout()))),
            1e-4);
  std::map<std::string, Tensor> gradients, buffers;
  for (const auto& [name, parameter] : other.parameters()) {
    std::string dotted = name;
    std::ranges::replace(dotted, '/', '.');
    gradients[dotted] = parameter->grad;
  }
  for (const auto& [name, buffer] : other.buffers()) {
    std::string dotted = name;
    std::ranges::replace(dotted, '/', '.');
    buffers[dotted] = buffer->value;
  }
  // Positions are written for each channel, not for each step.
  network.visit([&](const std::string& path, nn::Module& module) {
    if (module.type() == "PositionalEncoding") gradients.erase(path + ".weight");
  });
  double steepest = 0;
  for (const auto& [name, parameter] : network.parameters()) {
    steepest = std::max(steepest, largest_of(parameter->grad));
  }
  for (const auto& [name, parameter] : network.parameters()) {
    const auto it = gradients.find(name);
    if (it == gradients.end()) continue;  // a weight that is written in another form
    const Tensor& grad = it->second;
    if (squeezed(grad.shape()) != squeezed(parameter->grad.shape())) continue;
    // Biases before a batch norm have none but for rounding.
    EXPECT_LE(difference(grad.reshape(parameter->grad.shape()), parameter->grad, 1e-3 * steepest),
              2e-4)
        << name;
  }
  for (const auto& [name, buffer] : network.buffers()) {
    if (!name.ends_with("running_mean") && !name.ends_with("running_var")) continue;
    ASSERT_TRUE(buffers.contains(name)) << name;
    EXPECT_LE(difference(buffers.at(name), buffer->value), 1e-5) << name;
  }
}

class EveryLayerThroughOnnx : public ::testing::TestWithParam<std::string> {};

/// Layers that have no operators in the format.
bool is_refused(const std::string& layer) { return layer == "LSTM" || layer == "GRU"; }
bool is_random(const std::string& layer, const Options& options) {
  return layer == "Dropout" || options.get("dropout", 0.0) > 0;
}

std::vector<std::string> layer_names() {
  std::vector<std::string> names;
  for (const nn::LayerRow& row : nn::layer_table()) names.push_back(row.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Table, EveryLayerThroughOnnx, ::testing::ValuesIn(layer_names()),
                         [](const auto& one) { return one.param; });

TEST_P(EveryLayerThroughOnnx, is_the_same_function_in_eval_and_in_training) {
  for (const nn::LayerRow& row : nn::layer_table()) {
    if (row.name != GetParam()) continue;
    for (std::size_t i = 0; i < row.samples.size(); ++i) {
      SCOPED_TRACE(fmt::format("sample {}", i));
      const nn::LayerSample& sample = row.samples[i];
      nn::Sequential network;
      network.add(nn::make_layer(row.name, sample.options));
      network.initialize(3);
      disturb(network);
      network.eval();
      if (is_refused(row.name)) {
        EXPECT_THROW(through_file(network, sample.input.drop(1)), UsageError);
        continue;
      }
      const Tensor x = random_tensor(sample.input, 5);
      const ImportedModel model = through_file(network, sample.input.drop(1));
      EXPECT_LE(difference(model.network->forward(x), network.forward(x)), kTolerance);
      if (is_random(row.name, network[0].options()) || row.name.starts_with("BatchRenorm") ||
          sample.options.get("ghost_size", std::int64_t{0}) > 0) {
        continue;
      }
      if (row.name.starts_with("InstanceNorm") &&
          sample.options.get("track_running_stats", false)) {
        continue;  // a batch norm, as in eval mode
      }
      if (sample.options.get("weight_standardization", false)) continue;
      if (sample.options.get("cumulative", false)) continue;
      if (sample.options.contains("freeze")) continue;  // the format does not say what is frozen
      expect_same_training(network, *model.network, x);
    }
  }
}

struct ZooCase {
  std::string net, norm;

  friend std::ostream& operator<<(std::ostream& out, const ZooCase& one) {
    return out << one.net << " with " << one.norm;
  }
};

class EveryNetworkThroughOnnx : public ::testing::TestWithParam<ZooCase> {};

std::vector<ZooCase> zoo_cases() {
  std::vector<ZooCase> cases;
  for (const model::NetworkInfo& info : model::networks()) cases.push_back({info.name, "batch"});
  cases.push_back({"convnet", "group:4"});
  cases.push_back({"convnet", "layer"});
  cases.push_back({"convnet", "instance"});
  cases.push_back({"mlp", "layer"});
  cases.push_back({"mlp", "rms"});
  cases.push_back({"encoder-small", "layer"});
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Zoo, EveryNetworkThroughOnnx, ::testing::ValuesIn(zoo_cases()),
                         [](const auto& one) {
                           std::string name = one.param.net + "_" + one.param.norm;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

std::unique_ptr<nn::Module> zoo_network(const ZooCase& one, const Shape& input) {
  model::NetworkOptions options;
  options.net = one.net;
  options.norm = one.norm;
  options.input = input;
  auto network = model::build_network(options, 1);
  disturb(*network);
  network->eval();
  return network;
}

TEST_P(EveryNetworkThroughOnnx, is_the_same_function_in_eval_and_in_training) {
  const Shape input{3, 32, 32};
  const auto network = zoo_network(GetParam(), input);
  const Tensor x = random_tensor(batch_of(4, input), 5);
  const ImportedModel model = through_file(*network, input);
  EXPECT_FALSE(model.batch.has_value());
  EXPECT_EQ(model.sample, input);
  EXPECT_EQ(model.opset, kExportOpset);
  EXPECT_LE(difference(model.network->forward(x), network->forward(x)), 1e-5);
  expect_same_training(*network, *model.network, x);
}

TEST_P(EveryNetworkThroughOnnx, fused_folded_or_for_training_it_is_the_same) {
  const Shape input{3, 32, 32};
  const auto network = zoo_network(GetParam(), input);
  const Tensor x = random_tensor(batch_of(4, input), 5);
  const Tensor y = network->forward(x);
  const auto fused = network->clone();
  nn::fuse(*fused);
  EXPECT_LE(difference(through_file(*fused, input).network->forward(x), y), 1e-5);
  const auto folded = network->clone();
  nn::fold(*folded);
  EXPECT_LE(difference(through_file(*folded, input).network->forward(x), y), 1e-4);
  const ImportedModel training = through_file(*network, input, {.training = true});
  EXPECT_LE(difference(training.network->forward(x), y), 1e-5) << "read in eval mode";
  expect_same_training(*network, *training.network, x);
}

TEST_P(EveryNetworkThroughOnnx, written_again_it_is_the_same_file_but_for_names) {
  const Shape input{3, 32, 32};
  const auto network = zoo_network(GetParam(), input);
  const Tensor x = random_tensor(batch_of(2, input), 5);
  const ImportedModel once = through_file(*network, input);
  const ImportedModel twice = through_file(*once.network, input);
  EXPECT_EQ(max_difference(twice.network->forward(x), once.network->forward(x)), 0);
}

TEST(OnnxRoundTrip, momentum_epsilon_and_the_variances_kind_survive) {
  for (const bool unbiased : {true, false}) {
    nn::Sequential network{
        nn::Conv2d(2, 3, 3),
        nn::BatchNorm2d(3, {.eps = 1e-3, .momentum = 0.03, .unbiased = unbiased})};
    const ImportedModel model = through_file(network, {2, 5, 5});
    model.network->visit([&](const std::string& path, nn::Module& module) {
      auto* const norm = dynamic_cast<nn::BatchNorm*>(&module);
      if (norm == nullptr) return;
      EXPECT_EQ(path, "1");
      EXPECT_NEAR(norm->settings().eps, 1e-3, 1e-10);
      EXPECT_NEAR(norm->settings().momentum.value(), 0.03, 1e-7);
      EXPECT_EQ(norm->settings().unbiased, unbiased);
    });
  }
}

TEST(OnnxRoundTrip, a_network_of_doubles_stays_one) {
  nn::Sequential network{nn::Conv2d(2, 3, 3), nn::BatchNorm2d(3), nn::ReLU()};
  network.to(DType::f64);
  network.initialize(1);
  network.eval();
  const ImportedModel model = through_file(network, {2, 5, 5});
  const Tensor x = random_tensor({2, 2, 5, 5}, 3, DType::f64);
  EXPECT_LE(max_difference(model.network->forward(x), network.forward(x)), 1e-9);
}

TEST(OnnxRoundTrip, a_failed_export_leaves_the_old_file) {
  const auto path = testing::write_file("old.onnx", "old");
  nn::Sequential network{nn::BatchNorm1d(3, {.ghost_size = 2})};
  EXPECT_THROW(export_onnx(network, {3}, path, {.training = true}), UsageError);
  EXPECT_THROW(export_onnx(network, {4}, path), ShapeError);
  EXPECT_EQ(testing::file_bytes(path), "old");
}

}  // namespace
}  // namespace evenkeel::deploy
