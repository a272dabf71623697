#include <algorithm>
#include <map>

#include "readers.h"
#include "support.h"
#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/group_norm.h>
#include <evenkeel/nn/layers/layer_norm.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::fuzz {
namespace {

constexpr std::int64_t kMostElements = 1 << 16;  // of all values of a network that is run

Shape batch_of(const deploy::ImportedModel& model) {
  std::vector<std::int64_t> dims{model.batch.value_or(2)};
  dims.insert(dims.end(), model.sample.dims().begin(), model.sample.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

bool is_small(const deploy::ImportedModel& model) {
  std::int64_t elements = 0;
  for (const Shape& shape : model.network->node_shapes(batch_of(model))) {
    if (shape.numel() > kMostElements - elements) return false;
    elements += shape.numel();
  }
  return model.network->child_count() < 64;
}

/// What is read has the shapes that it says, runs, and is the same once written.
void read(std::string_view bytes) {
  deploy::ImportedModel model;
  if (!accepts([&] { model = deploy::import_onnx(file_of(bytes)); })) return;
  const Shape shape = batch_of(model);
  const Shape output = model.network->output_shape(shape);
  if (!is_small(model)) return;
  const bool wide = std::ranges::any_of(model.network->parameters(), [](const auto& one) {
    return one.parameter->value.dtype() == DType::f64;
  });
  if (wide) model.network->to(DType::f64);
  const Tensor x = Tensor::full(shape, 0.5, wide ? DType::f64 : DType::f32);
  // A network may refuse what only its values show, such as one value per group.
  Tensor y;
  if (!accepts([&] { y = model.network->forward(x); })) return;
  promise(y.shape() == output, "the output is {}, it said {}", y.shape().str(), output.str());

  const std::filesystem::path copy = work_folder() / "copy.onnx";
  deploy::export_onnx(*model.network, model.sample, copy, {.batch = model.batch});
  deploy::ImportedModel again;
  const bool whole = accepts([&] { again = deploy::import_onnx(copy); });
  promise(whole, "what was written is not read");
  promise(again.sample == model.sample, "the sample is {}, {} once written", model.sample.str(),
          again.sample.str());
  promise(again.network->output_shape(shape) == output, "another output once written");
}

std::string of_network(nn::Sequential network, const Shape& sample,
                       const deploy::ExportOptions& options = {}) {
  network.initialize(1);
  return written("seed.onnx",
                 [&](const auto& path) { deploy::export_onnx(network, sample, path, options); });
}

std::vector<Seed> seeds() {
  using namespace nn;
  const auto convnet = [] {
    return Sequential{Conv2d(1, 2, 3, {.padding = 1}),
                      BatchNorm2d(2),
                      ReLU(),
                      MaxPool2d(2),
                      GlobalAvgPool(),
                      Linear(2, 2)};
  };
  return {
      {"convnet", of_network(convnet(), {1, 4, 4})},
      {"training", of_network(convnet(), {1, 4, 4}, {.training = true})},
      {"batch", of_network(convnet(), {1, 4, 4}, {.batch = 3})},
      {"mlp", of_network(Sequential{Flatten(), Linear(4, 3), LayerNorm({3}), Tanh(), Dropout(0.5)},
                         {2, 2})},
      {"residual",
       of_network(Sequential{Residual(Sequential{Conv2d(2, 2, 1), GroupNorm(1, 2)})}, {2, 3, 3})},
      {"pools",
       of_network(Sequential{AvgPool2d(2, {.padding = 1}), Sigmoid(), LeakyReLU(0.1)}, {2, 3, 3})},
      {"empty", ""},
      {"zeros", std::string(64, '\0')},
  };
}

}  // namespace

Target onnx_target() { return {.reader = "onnx", .read = read, .seeds = seeds}; }

}  // namespace evenkeel::fuzz
