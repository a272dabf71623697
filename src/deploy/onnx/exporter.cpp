#include "deploy/onnx/exporter.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/ranges.h>

#include "deploy/onnx/model.h"
#include "io/atomic_writer.h"
#include "onnx.pb.h"
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::deploy {
namespace {

constexpr std::int64_t kIrVersion = 8;  // of operator set 17
constexpr std::int64_t kSomeBatch = 2;  // shapes are computed for

constexpr std::array kWriters = {
    LayerWriter{"AvgPool1d", write_average_pool},
    LayerWriter{"AvgPool2d", write_average_pool},
    LayerWriter{"AvgPool3d", write_average_pool},
    LayerWriter{"BatchNorm1d", write_batch_norm},
    LayerWriter{"BatchNorm2d", write_batch_norm},
    LayerWriter{"BatchNorm3d", write_batch_norm},
    LayerWriter{"BatchRenorm1d", write_batch_norm},
    LayerWriter{"BatchRenorm2d", write_batch_norm},
    LayerWriter{"BatchRenorm3d", write_batch_norm},
    LayerWriter{"Clip", write_clip},
    LayerWriter{"Concat", write_concat},
    LayerWriter{"Conv1d", write_conv},
    LayerWriter{"Conv2d", write_conv},
    LayerWriter{"Conv3d", write_conv},
    LayerWriter{"ConvTranspose1d", write_conv_transpose},
    LayerWriter{"ConvTranspose2d", write_conv_transpose},
    LayerWriter{"ConvTranspose3d", write_conv_transpose},
    LayerWriter{"Dropout", write_dropout},
    LayerWriter{"EncoderLayer", write_encoder_layer},
    LayerWriter{"Flatten", write_flatten},
    LayerWriter{"Erf", write_erf},
    LayerWriter{"FoldedConv", write_folded_conv},
    LayerWriter{"GELU", write_gelu},
    LayerWriter{"GlobalAvgPool", write_global_average_pool},
    LayerWriter{"Graph", write_graph},
    LayerWriter{"GroupNorm", write_group_norm},
    LayerWriter{"Identity", write_identity},
    LayerWriter{"InstanceNorm1d", write_instance_norm},
    LayerWriter{"InstanceNorm2d", write_instance_norm},
    LayerWriter{"InstanceNorm3d", write_instance_norm},
    LayerWriter{"LastStep", write_last_step},
    LayerWriter{"LayerNorm", write_layer_norm},
    LayerWriter{"LeakyReLU", write_activation},
    LayerWriter{"Linear", write_linear},
    LayerWriter{"MaxPool1d", write_max_pool},
    LayerWriter{"MaxPool2d", write_max_pool},
    LayerWriter{"MaxPool3d", write_max_pool},
    LayerWriter{"Mean", write_mean},
    LayerWriter{"MeanOverTime", write_mean_over_time},
    LayerWriter{"MultiheadAttention", write_attention},
    LayerWriter{"Pad", write_pad},
    LayerWriter{"Permute", write_permute},
    LayerWriter{"PositionalEncoding", write_positional_encoding},
    LayerWriter{"Power", write_power},
    LayerWriter{"RMSNorm", write_rms_norm},
    LayerWriter{"ReLU", write_activation},
    LayerWriter{"Reshape", write_reshape},
    LayerWriter{"Residual", write_residual},
    LayerWriter{"Scale", write_scale},
    LayerWriter{"Sequential", write_sequential},
    LayerWriter{"Shift", write_shift},
    LayerWriter{"Sigmoid", write_activation},
    LayerWriter{"Slice", write_slice},
    LayerWriter{"Softmax", write_softmax},
    LayerWriter{"Tanh", write_activation},
    LayerWriter{"ValidSteps", write_valid_steps},
};

OnnxType type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return OnnxType::float32;
    case DType::f64:
      return OnnxType::float64;
    case DType::i64:
      return OnnxType::int64;
    default:
      return OnnxType::boolean;
  }
}

void fill(const Tensor& given, proto::Tensor& message) {
  const Tensor tensor = given.to(Layout::channels_first);
  for (const std::int64_t dim : tensor.shape().dims()) message.add_dims(dim);
  message.set_data_type(static_cast<std::int32_t>(type_of(tensor.dtype())));
  message.set_raw_data(tensor.raw(), tensor.bytes());
}

void fill(const AttributeValue& value, proto::Attribute& message) {
  enum Type { real = 1, integer = 2, text = 3, integers = 7 };
  if (const auto* i = std::get_if<std::int64_t>(&value)) {
    message.set_i(*i);
    message.set_type(integer);
  } else if (const auto* f = std::get_if<double>(&value)) {
    message.set_f(static_cast<float>(*f));
    message.set_type(real);
  } else if (const auto* s = std::get_if<std::string>(&value)) {
    message.set_s(*s);
    message.set_type(text);
  } else {
    for (const std::int64_t one : std::get<std::vector<std::int64_t>>(value)) message.add_ints(one);
    message.set_type(integers);
  }
}

/// A graph input or output; the first dimension is the batch's.
void describe(const Symbol& symbol, const ExportOptions& options, DType dtype,
              proto::ValueInfo& info) {
  info.set_name(symbol.name);
  proto::TensorType& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(static_cast<std::int32_t>(type_of(dtype)));
  for (int d = 0; d < symbol.shape.rank(); ++d) {
    proto::Dimension& dim = *type.mutable_shape()->add_dim();
    if (d > 0 || options.batch) {
      dim.set_dim_value(symbol.shape[d]);
    } else if (symbol.shape[0] == kSomeBatch) {
      dim.set_dim_param("batch");
    }
  }
}

Shape with_batch(std::int64_t batch, const Shape& sample) {
  std::vector<std::int64_t> dims{batch};
  dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

/// "biased" or "unbiased" where all batch norms agree.
std::string running_variance(nn::Module& network) {
  std::string found;
  network.visit([&](const std::string&, nn::Module& module) {
    auto* const norm = dynamic_cast<nn::BatchNorm*>(&module);
    if (norm == nullptr) return;
    const std::string kind = norm->settings().unbiased ? "unbiased" : "biased";
    found = found.empty() || found == kind ? kind : "mixed";
  });
  return found;
}

}  // namespace

const LayerWriter* find_writer(std::string_view type) {
  const auto* const row = std::ranges::find(kWriters, type, &LayerWriter::type);
  return row == kWriters.end() ? nullptr : row;
}

std::string name_of(const nn::Module& layer) {
  std::string name = layer.path();
  std::ranges::replace(name, '/', '.');
  return name.empty() ? std::string(layer.type()) : name;
}

Tensor tensor_of(nn::Module& layer, std::string_view name) {
  for (const auto& [key, tensor] : layer.state_dict()) {
    if (key == name) return tensor;
  }
  return {};
}

std::string weight_of(Exporter& exporter, nn::Module& layer, const std::string& name) {
  const Tensor tensor = tensor_of(layer, name);
  return tensor.defined() ? exporter.initializer(name_of(layer) + "." + name, tensor) : "";
}

Exporter::Exporter(const ExportOptions& options)
    : options_(options),
      model_(std::make_unique<proto::Model>()),
      names_({"", options.input, options.output}) {}

Exporter::~Exporter() = default;

std::string Exporter::node(const std::string& type, const std::vector<std::string>& inputs,
                           const Attributes& attributes, const std::string& name,
                           const std::vector<std::string>& more_outputs) {
  proto::Node& message = *model_->mutable_graph()->add_node();
  message.set_op_type(type);
  message.set_name(node_names_.take(name));
  std::size_t used = inputs.size();
  while (used > 0 && inputs[used - 1].empty()) --used;
  for (std::size_t i = 0; i < used; ++i) message.add_input(inputs[i]);
  const std::string output = names_.take(name + "_output");
  message.add_output(output);
  for (const std::string& more : more_outputs) message.add_output(names_.take(more));
  for (const auto& [key, value] : attributes) {
    proto::Attribute& attribute = *message.add_attribute();
    attribute.set_name(key);
    fill(value, attribute);
  }
  return output;
}

std::string Exporter::initializer(const std::string& name, const Tensor& tensor) {
  const bool real = tensor.dtype() != DType::i64 && tensor.dtype() != DType::u8;
  proto::Tensor& message = *model_->mutable_graph()->add_initializer();
  fill(real ? tensor.to(dtype_) : tensor, message);
  const std::string given = names_.take(name);
  message.set_name(given);
  return given;
}

std::string Exporter::constant(const Tensor& tensor) {
  const std::string output = names_.take("constant");
  proto::Node& message = *model_->mutable_graph()->add_node();
  message.set_op_type("Constant");
  message.add_output(output);
  proto::Attribute& attribute = *message.add_attribute();
  attribute.set_name("value");
  constexpr int kTensor = 4;
  attribute.set_type(kTensor);
  fill(tensor, *attribute.mutable_t());
  return output;
}

std::string Exporter::scalar(double value) { return constant(Tensor::full({}, value, dtype_)); }

std::string Exporter::integers(const std::vector<std::int64_t>& values) {
  return constant(Tensor::from(std::span<const std::int64_t>(values),
                               {static_cast<std::int64_t>(values.size())}));
}

void Exporter::lose_lengths(const nn::Module& layer, std::optional<std::int64_t> steps) {
  without_lengths_.push_back(layer.label());
  if (steps) steps_ = steps;
}

void Exporter::note_lengths() {
  constexpr std::size_t kShown = 3;
  if (without_lengths_.empty()) return;
  const std::size_t shown = std::min(without_lengths_.size(), kShown);
  std::string layers = fmt::format(
      "{}", fmt::join(without_lengths_.begin(),
                      without_lengths_.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < without_lengths_.size()) {
    layers += fmt::format(" and {} more", without_lengths_.size() - shown);
  }
  note(fmt::format(
      "lengths are not part of the model: every step of a padded sequence counts as valid ({})",
      layers));
  if (steps_) note(fmt::format("the model takes sequences of {} steps alone", *steps_));
}

Symbol Exporter::emit(nn::Module& layer, const Symbol& x) {
  const LayerWriter* const writer = find_writer(layer.type());
  if (writer == nullptr) {
    fail<UsageError>(
        "[onnx] {} cannot be written: there is no export of {}; docs/onnx.md lists the layers",
        layer.label(), layer.type());
  }
  Symbol y = writer->write(*this, layer, x);
  y.shape = layer.output_shape(x.shape);
  return y;
}

std::string Exporter::write(nn::Module& network, const Shape& sample) {
  for (const auto& [name, parameter] : network.parameters()) dtype_ = parameter->value.dtype();
  const Symbol x{options_.input, with_batch(options_.batch.value_or(kSomeBatch), sample)};
  (void)network.output_shape(x.shape);
  const Symbol y = emit(network, x);
  note_lengths();

  model_->set_ir_version(kIrVersion);
  model_->set_producer_name("evenkeel");
  proto::OperatorSet& opset = *model_->add_opset_import();
  opset.set_domain("");
  opset.set_version(kExportOpset);
  proto::Graph& graph = *model_->mutable_graph();
  graph.set_name(options_.name);
  describe(x, options_, dtype_, *graph.add_input());
  proto::Node& last = *graph.add_node();
  last.set_op_type("Identity");
  last.set_name("output");
  last.add_input(y.name);
  last.add_output(options_.output);
  describe({options_.output, y.shape}, options_, dtype_, *graph.add_output());
  const std::string variance = running_variance(network);
  if (variance == "mixed") {
    note("the batch norms fold different variances into their running ones; a reader takes one");
  } else if (!variance.empty()) {
    proto::StringPair& entry = *model_->add_metadata_props();
    entry.set_key(kRunningVariance);
    entry.set_value(variance);
  }
  for (const auto& [key, value] : options_.metadata) {
    if (key == kRunningVariance) continue;
    proto::StringPair& entry = *model_->add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  report_.nodes = static_cast<std::size_t>(graph.node_size());
  if (model_->ByteSizeLong() > std::numeric_limits<std::int32_t>::max()) {
    fail<UsageError>("[onnx] the model would take {} bytes; files of the format end at 2 GiB",
                     model_->ByteSizeLong());
  }
  std::string bytes = model_->SerializeAsString();
  report_.bytes = bytes.size();
  return bytes;
}

ExportReport export_onnx(const nn::Module& network, const Shape& sample,
                         const std::filesystem::path& path, const ExportOptions& options) {
  const std::unique_ptr<nn::Module> copy = network.clone();
  nn::unfuse(*copy);
  copy->train(options.training);
  Exporter exporter(options);
  const std::string bytes = exporter.write(*copy, sample);
  io::AtomicWriter writer(path);
  writer.write(bytes);
  if (!options.accept || options.accept(writer.temporary())) writer.commit();
  return exporter.report();
}

}  // namespace evenkeel::deploy
