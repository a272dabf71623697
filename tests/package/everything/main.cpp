// Another project that uses something of each room: data, a named network, an evaluation, a file.
#include <cstdio>

#include <evenkeel/evenkeel.h>

int main() {
  using namespace evenkeel;
  const data::Splits digits = data::open_source("glyphs:train=64,test=64");
  const auto normalization = data::measure_normalization(digits.train);

  model::NetworkOptions options;
  options.net = "mlp";
  options.input = Shape{1, 28, 28};
  const auto net = model::build_network(options, 1);

  train::EvalOptions how;
  how.mode = train::EvalMode::train;
  const auto result = train::evaluate(*net, digits.test, normalization, how);
  std::printf("an untrained network on %lld digits: loss %.3f\n",
              static_cast<long long>(result.count), result.loss);

  const Tensor kept = Tensor::full({2, 3}, 0.5);
  io::write_safetensors("kept.safetensors", {.tensors = {{"kept", kept}}, .metadata = {}});
  const auto file = io::read_safetensors("kept.safetensors");
  const Tensor* read = file.find("kept");
  return result.count == 64 && read != nullptr && read->span<float>()[5] == 0.5F ? 0 : 1;
}
