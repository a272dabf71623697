#include <algorithm>
#include <cctype>

#include <toml++/toml.h>

#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>
#include <evenkeel/model/config.h>

namespace evenkeel::model {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{16} << 20;
constexpr int kMaxDepth = 32;

/// Turns the nodes of one document into options and layers.
class Reader {
 public:
  explicit Reader(std::string_view where) : where_(where) {}

  Config read(const toml::table& document) const {
    Config config;
    for (const auto& [key, node] : document) {
      if (key.str() == "layer") {
        config.layers = read_layers(node, key.str(), 0);
      } else {
        config.values.set(std::string(key.str()), read_value(node, key.str()));
      }
    }
    return config;
  }

 private:
  template <class E, class... Args>
  [[noreturn]] void refuse(const toml::node& node, fmt::format_string<Args...> format,
                           Args&&... args) const {
    const toml::source_position at = node.source().begin;
    fail<E>("[config] {}:{}:{}: {}", where_, at.line, at.column,
            fmt::format(format, std::forward<Args>(args)...));
  }

  OptionValue read_value(const toml::node& node, std::string_view key) const {
    if (const auto* v = node.as_boolean()) return v->get();
    if (const auto* v = node.as_integer()) return v->get();
    if (const auto* v = node.as_floating_point()) return v->get();
    if (const auto* v = node.as_string()) return v->get();
    if (const auto* v = node.as_array()) return read_integers(*v, key);
    if (node.is_table()) {
      refuse<UsageError>(node,
                         "'{}' is a table, but keys stand at the top level; write the keys of "
                         "[{}] without the section",
                         key, key);
    }
    refuse<UsageError>(node, "'{}' is a date or time, which no option takes", key);
  }

  std::vector<std::int64_t> read_integers(const toml::array& array, std::string_view key) const {
    std::vector<std::int64_t> list;
    for (const toml::node& item : array) {
      const auto* v = item.as_integer();
      if (v == nullptr) refuse<UsageError>(item, "'{}' expects a list of integers", key);
      list.push_back(v->get());
    }
    return list;
  }

  std::vector<LayerSpec> read_layers(const toml::node& node, std::string_view key,
                                     int depth) const {
    const auto* array = node.as_array();
    if (array == nullptr) {
      refuse<UsageError>(node, "'{}' expects a list of layers, such as [[layer]]", key);
    }
    if (depth > kMaxDepth) refuse<UsageError>(node, "layers are nested too deeply");
    std::vector<LayerSpec> layers;
    for (const toml::node& item : *array) {
      const auto* table = item.as_table();
      if (table == nullptr) {
        refuse<UsageError>(item, "expected a layer such as {{type = \"ReLU\"}} in '{}'", key);
      }
      layers.push_back(read_layer(*table, depth));
    }
    return layers;
  }

  LayerSpec read_layer(const toml::table& table, int depth) const {
    LayerSpec layer;
    const toml::node* type = table.get("type");
    if (type == nullptr || !type->is_string()) {
      refuse<UsageError>(table, "a layer needs a type, such as type = \"Linear\"");
    }
    layer.type = type->as_string()->get();
    for (const auto& [key, node] : table) {
      if (key.str() == "type") continue;
      const std::string name(key.str());
      if (holds_layers(node, name)) {
        layer.children.emplace_back(name, read_layers(node, name, depth + 1));
      } else {
        layer.options.set(name, read_value(node, name));
      }
    }
    // The document keeps keys sorted as text; branches go by number.
    std::ranges::sort(layer.children, {},
                      [](const auto& child) { return std::pair(child.first.size(), child.first); });
    return layer;
  }

  /// A list of tables; an empty list where the name says so.
  static bool holds_layers(const toml::node& node, const std::string& name) {
    const auto* array = node.as_array();
    if (array == nullptr) return false;
    if (!array->empty()) return array->front().is_table();
    return name == "body" || name == "shortcut" ||
           std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; });
  }

  std::string_view where_;
};

std::string on_one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) c = ' ';
  }
  return line;
}

}  // namespace

Config parse_config(std::string_view toml, std::string_view where) {
  toml::table document;
  try {
    document = toml::parse(toml, std::string(where));
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    fail<IoError>("[config] {}:{}:{}: {}", where, at.line, at.column,
                  on_one_line(error.description()));
  }
  return Reader(where).read(document);
}

Config read_config(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = io::read_file(path, kMaxBytes);
  return parse_config({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace evenkeel::model
