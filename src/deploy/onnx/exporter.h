// Writes a network as a graph of operators, layer by layer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "deploy/onnx/unique_names.h"
#include <evenkeel/core/tensor.h>
#include <evenkeel/deploy/onnx_export.h>

namespace evenkeel::deploy {

namespace proto {
class Model;
class Node;
}  // namespace proto

/// A value of the model: its name, and its shape for some batch.
struct Symbol {
  std::string name;
  Shape shape;
};

using AttributeValue = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>>;
using Attributes = std::vector<std::pair<std::string, AttributeValue>>;

class Exporter {
 public:
  explicit Exporter(const ExportOptions& options);
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  /// The whole model; `network` is in the mode that is written, nothing of it fused.
  std::string write(nn::Module& network, const Shape& sample);
  const ExportReport& report() const { return report_; }

  // For the layers.

  bool training() const { return options_.training; }
  DType dtype() const { return dtype_; }
  void note(std::string text) { report_.notes.push_back(std::move(text)); }
  /// The layer does not count the steps beyond the lengths of sequences, for which the format has
  /// no place; with `steps`, it is written for that many alone. Both are noted once for all layers.
  void lose_lengths(const nn::Module& layer, std::optional<std::int64_t> steps = std::nullopt);
  /// A layer, or a container with what is in it, applied to x.
  Symbol emit(nn::Module& layer, const Symbol& x);

  /// A node of one output. `name` is a layer's path, with a suffix for its other nodes.
  std::string node(const std::string& type, const std::vector<std::string>& inputs,
                   const Attributes& attributes, const std::string& name,
                   const std::vector<std::string>& more_outputs = {});
  /// A weight, under the name of the state dict.
  std::string initializer(const std::string& name, const Tensor& tensor);
  /// Numbers that are no weights. Real ones are of the network's type.
  std::string constant(const Tensor& tensor);
  std::string scalar(double value);
  std::string integers(const std::vector<std::int64_t>& values);
  /// What the last layer of a folded residual body adds.
  std::vector<std::string> addends;

 private:
  ExportOptions options_;
  ExportReport report_;
  std::unique_ptr<proto::Model> model_;
  UniqueNames names_;  // of values
  UniqueNames node_names_{{"output"}};
  DType dtype_ = DType::f32;
  std::vector<std::string> without_lengths_;  // labels of layers
  std::optional<std::int64_t> steps_;         // the only number that some layer takes

  void note_lengths();
};

/// The name of a layer in the model: its path.
std::string name_of(const nn::Module& layer);
/// The layer's tensor of that name, undefined where it has none.
Tensor tensor_of(nn::Module& layer, std::string_view name);
/// Likewise, written as an initializer under its name; "" where there is none.
std::string weight_of(Exporter& exporter, nn::Module& layer, const std::string& name);

/// How a layer is written.
struct LayerWriter {
  std::string_view type;
  Symbol (*write)(Exporter& exporter, nn::Module& layer, const Symbol& x);
};
/// Null for layers that cannot be written.
const LayerWriter* find_writer(std::string_view type);

// The rows of the table, by family.
Symbol write_linear(Exporter&, nn::Module&, const Symbol&);
Symbol write_conv(Exporter&, nn::Module&, const Symbol&);
Symbol write_folded_conv(Exporter&, nn::Module&, const Symbol&);
Symbol write_conv_transpose(Exporter&, nn::Module&, const Symbol&);
Symbol write_batch_norm(Exporter&, nn::Module&, const Symbol&);
Symbol write_layer_norm(Exporter&, nn::Module&, const Symbol&);
Symbol write_rms_norm(Exporter&, nn::Module&, const Symbol&);
Symbol write_group_norm(Exporter&, nn::Module&, const Symbol&);
Symbol write_instance_norm(Exporter&, nn::Module&, const Symbol&);
Symbol write_activation(Exporter&, nn::Module&, const Symbol&);
Symbol write_gelu(Exporter&, nn::Module&, const Symbol&);
Symbol write_power(Exporter&, nn::Module&, const Symbol&);
Symbol write_erf(Exporter&, nn::Module&, const Symbol&);
Symbol write_clip(Exporter&, nn::Module&, const Symbol&);
Symbol write_softmax(Exporter&, nn::Module&, const Symbol&);
Symbol write_scale(Exporter&, nn::Module&, const Symbol&);
Symbol write_shift(Exporter&, nn::Module&, const Symbol&);
Symbol write_dropout(Exporter&, nn::Module&, const Symbol&);
Symbol write_max_pool(Exporter&, nn::Module&, const Symbol&);
Symbol write_average_pool(Exporter&, nn::Module&, const Symbol&);
Symbol write_global_average_pool(Exporter&, nn::Module&, const Symbol&);
Symbol write_pad(Exporter&, nn::Module&, const Symbol&);
Symbol write_slice(Exporter&, nn::Module&, const Symbol&);
Symbol write_permute(Exporter&, nn::Module&, const Symbol&);
Symbol write_reshape(Exporter&, nn::Module&, const Symbol&);
Symbol write_mean(Exporter&, nn::Module&, const Symbol&);
Symbol write_flatten(Exporter&, nn::Module&, const Symbol&);
Symbol write_identity(Exporter&, nn::Module&, const Symbol&);
Symbol write_valid_steps(Exporter&, nn::Module&, const Symbol&);
Symbol write_mean_over_time(Exporter&, nn::Module&, const Symbol&);
Symbol write_last_step(Exporter&, nn::Module&, const Symbol&);
Symbol write_positional_encoding(Exporter&, nn::Module&, const Symbol&);
Symbol write_attention(Exporter&, nn::Module&, const Symbol&);
Symbol write_encoder_layer(Exporter&, nn::Module&, const Symbol&);
Symbol write_sequential(Exporter&, nn::Module&, const Symbol&);
Symbol write_residual(Exporter&, nn::Module&, const Symbol&);
Symbol write_concat(Exporter&, nn::Module&, const Symbol&);
Symbol write_graph(Exporter&, nn::Module&, const Symbol&);

}  // namespace evenkeel::deploy
