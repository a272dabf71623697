#include <optional>

#include <evenkeel/deploy/scores.h>
#include <evenkeel/nn/describe.h>
#include <evenkeel/nn/flow.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/reshape.h>
#include <evenkeel/nn/layers/softmax.h>

namespace evenkeel::deploy {
namespace {

template <class... Types>
bool is_one_of(const nn::Module* module) {
  return ((dynamic_cast<const Types*>(module) != nullptr) || ...);
}

/// The last layer that computes, and what it computes.
struct Ending {
  Scores scores = Scores::logits;
  std::size_t step = 0;
  Shape output;           ///< of the layer
  bool reshaped = false;  ///< a Reshape, whose target is fixed, comes behind it
  std::int64_t classes = 0;
};

Shape output_of(nn::Module& network, const nn::Module* layer, const Shape& batch) {
  std::string path;
  network.visit([&](const std::string& name, nn::Module& module) {
    if (&module == layer) path = name;
  });
  for (const nn::LayerDescription& one : nn::describe_layers(network, batch)) {
    if (one.path == path) return one.output;
  }
  return {};
}

/// Over all that a sample has.
bool covers_sample(const nn::Softmax& softmax, const Shape& output) {
  const std::int64_t dim = softmax.dim() < 0 ? softmax.dim() + output.rank() : softmax.dim();
  if (dim < 1 || dim >= output.rank()) return false;
  std::int64_t extent = 1;
  for (std::int64_t i = dim; i < (softmax.to_end() ? output.rank() : dim + 1); ++i) {
    extent *= output[static_cast<int>(i)];
  }
  return output[0] * extent == output.numel();
}

Ending ending_of(nn::Module& network, const nn::Flow& flow, const Shape& batch) {
  Ending ending;
  const Shape scores = network.output_shape(batch);
  if (scores.rank() != 2 || scores[0] != batch[0]) return ending;
  ending.classes = scores[1];
  std::size_t i = flow.output();
  while (flow[i].kind == nn::FlowStep::Kind::layer &&
         is_one_of<nn::Flatten, nn::Reshape, nn::Identity, nn::Dropout>(flow[i].module)) {
    ending.reshaped = ending.reshaped || is_one_of<nn::Reshape>(flow[i].module);
    i = flow[i].inputs.front();
  }
  if (flow[i].kind != nn::FlowStep::Kind::layer || flow[i].owner == nullptr) return ending;
  ending.step = i;
  ending.output = output_of(network, flow[i].module, batch);
  if (const auto* softmax = dynamic_cast<const nn::Softmax*>(flow[i].module)) {
    if (covers_sample(*softmax, ending.output)) ending.scores = Scores::probabilities;
  } else if (is_one_of<nn::Sigmoid>(flow[i].module)) {
    ending.scores = Scores::independent;
  }
  return ending;
}

/// [N, 1] to [N, 2]: 0 and the value. Of the dtype of the network's parameters.
std::unique_ptr<nn::Linear> beside_zero(nn::Module& network) {
  auto layer = std::make_unique<nn::Linear>(1, 2, nn::LinearOptions{.bias = false});
  layer->weight().value.fill(1);
  layer->weight().value.span<float>()[0] = 0;
  const auto parameters = network.parameters();
  if (!parameters.empty()) layer->to(parameters.front().parameter->value.dtype());
  layer->eval();
  return layer;
}

}  // namespace

Scores scores_of(nn::Module& network, const Shape& batch) {
  return ending_of(network, nn::Flow(network), batch).scores;
}

Scores give_logits(nn::Module& network, const Shape& batch) {
  nn::Flow flow(network);
  const Ending ending = ending_of(network, flow, batch);
  if (ending.scores == Scores::probabilities) {
    flow.replace(ending.step, std::make_unique<nn::Identity>());
    return Scores::logits;
  }
  const bool one = ending.scores == Scores::independent && ending.classes == 1 &&
                   ending.output.rank() == 2 && !ending.reshaped;
  if (!one) return ending.scores;
  flow.replace(ending.step, beside_zero(network));
  return Scores::logits;
}

}  // namespace evenkeel::deploy
