#include <algorithm>
#include <array>

#include <evenkeel/nn/describe.h>
#include <evenkeel/nn/layers/container.h>

namespace evenkeel::nn {
namespace {

std::string options_text(const Options& options) {
  std::string text;
  for (const auto& [key, value] : options.values()) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", key, to_string(value));
  }
  return text;
}

void walk(const std::string& path, Module& module, const Shape& input,
          std::vector<LayerDescription>& out) {
  const auto* container = dynamic_cast<const Container*>(&module);
  out.push_back({path, std::string(module.type()), options_text(module.options()),
                 module.fusion_note(), module.mode_note(), module.output_shape(input),
                 module.parameter_count(), container != nullptr && module.child_count() > 0});
  if (container == nullptr) return;
  const std::vector<Shape> inputs = container->child_inputs(input);
  for (std::size_t i = 0; i < module.child_count(); ++i) {
    const std::string& name = module.child_name(i);
    walk(path.empty() ? name : path + "." + name, module.child(i), inputs[i], out);
  }
}

/// Columns a terminal shows for UTF-8 text.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

std::string joined(std::initializer_list<std::string_view> notes) {
  std::string text;
  for (const std::string_view note : notes) {
    if (!text.empty() && !note.empty()) text += "; ";
    text += note;
  }
  return text;
}

}  // namespace

std::vector<LayerDescription> describe_layers(Module& network, const Shape& input) {
  std::vector<LayerDescription> result;
  walk("", network, input, result);
  return result;
}

std::string describe(Module& network, const Shape& input) {
  using Row = std::array<std::string, 5>;
  std::vector<Row> rows{{"layer", "type", "options", "output", "parameters"}};
  for (const LayerDescription& layer : describe_layers(network, input)) {
    if (layer.path.empty() && layer.has_children && layer.options.empty()) {
      continue;  // the network itself: the total says it
    }
    // Containers repeat what their children say; only their own place and type are shown.
    rows.push_back({layer.path.empty() ? "-" : layer.path, layer.type,
                    joined({layer.options, layer.note, layer.mode}), layer.output.str(),
                    layer.has_children ? "" : fmt::format("{}", layer.parameters)});
  }
  std::array<std::size_t, 5> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width_of(row[i]), ' ');
      const bool number = i + 1 == row.size();
      text += number ? padding + row[i] + "\n" : row[i] + padding + "  ";
    }
  }
  return text +
         fmt::format("input {}, {} trainable parameters\n", input.str(), network.parameter_count());
}

}  // namespace evenkeel::nn
