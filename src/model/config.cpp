#include <algorithm>
#include <cctype>

#include <toml++/toml.h>

#include "model/toml_limits.h"
#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>
#include <evenkeel/model/config.h>

namespace evenkeel::model {
namespace {

// Far beyond any config that means something; a hostile one shall cost little.
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxLayers = 10'000;
constexpr std::size_t kMaxKey = 128;
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxList = 64;
// Of a layer's numbers: products and sums of a few of them fit 63 bits.
constexpr std::int64_t kMaxInteger = std::int64_t{1} << 31;

std::string on_one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) c = ' ';
  }
  return line;
}

/// Turns the nodes of one document into options and layers.
class Reader {
 public:
  explicit Reader(std::string_view where) : where_(where) {}

  Config read(const toml::table& document) {
    Config config;
    for (const auto& [key, node] : document) {
      check_key(node, key.str());
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

  /// Keys and texts come back in messages, which are lines that a person reads.
  void check_key(const toml::node& node, std::string_view key) const {
    if (key.size() > kMaxKey) {
      refuse<UsageError>(node, "expected a key of at most {} bytes, got {}", kMaxKey, key.size());
    }
    if (key != on_one_line(key)) {
      refuse<UsageError>(node, "the key '{}' holds control characters", on_one_line(key));
    }
  }

  std::string read_text(const toml::value<std::string>& text, std::string_view key) const {
    if (text.get().size() > kMaxText) {
      refuse<UsageError>(text, "expected at most {} bytes as '{}', got {}", kMaxText, key,
                         text.get().size());
    }
    return text.get();
  }

  OptionValue read_value(const toml::node& node, std::string_view key) const {
    if (const auto* v = node.as_boolean()) return v->get();
    if (const auto* v = node.as_integer()) return v->get();
    if (const auto* v = node.as_floating_point()) return v->get();
    if (const auto* v = node.as_string()) return read_text(*v, key);
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
    if (array.size() > kMaxList) {
      refuse<UsageError>(array, "expected a list of at most {} integers as '{}', got {}", kMaxList,
                         key, array.size());
    }
    std::vector<std::int64_t> list;
    for (const toml::node& item : array) {
      const auto* v = item.as_integer();
      if (v == nullptr) refuse<UsageError>(item, "'{}' expects a list of integers", key);
      list.push_back(v->get());
    }
    return list;
  }

  std::vector<LayerSpec> read_layers(const toml::node& node, std::string_view key, int depth) {
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

  LayerSpec read_layer(const toml::table& table, int depth) {
    if (++layers_ > kMaxLayers) {
      refuse<UsageError>(table, "expected at most {} layers, got more", kMaxLayers);
    }
    LayerSpec layer;
    const toml::node* type = table.get("type");
    if (type == nullptr || !type->is_string()) {
      refuse<UsageError>(table, "a layer needs a type, such as type = \"Linear\"");
    }
    layer.type = read_word(*type->as_string(), "type");
    for (const auto& [key, node] : table) {
      if (key.str() == "type") continue;
      check_key(node, key.str());
      const std::string name(key.str());
      if (holds_layers(node, name)) {
        layer.children.emplace_back(name, read_layers(node, name, depth + 1));
      } else {
        layer.options.set(name, read_option(node, name));
      }
    }
    // The document keeps keys sorted as text; branches go by number.
    std::ranges::sort(layer.children, {},
                      [](const auto& child) { return std::pair(child.first.size(), child.first); });
    return layer;
  }

  std::string read_word(const toml::value<std::string>& text, std::string_view key) const {
    if (text.get().size() > kMaxKey || text.get() != on_one_line(text.get())) {
      refuse<UsageError>(text, "expected a word as '{}', got a text of {} bytes", key,
                         text.get().size());
    }
    return text.get();
  }

  OptionValue read_option(const toml::node& node, std::string_view key) const {
    if (const auto* text = node.as_string()) return read_word(*text, key);
    OptionValue value = read_value(node, key);
    const auto check = [&](std::int64_t number) {
      if (number > kMaxInteger || number < -kMaxInteger) {
        refuse<UsageError>(node, "expected numbers of at most {} as '{}', got {}", kMaxInteger, key,
                           number);
      }
    };
    if (const auto* number = std::get_if<std::int64_t>(&value)) check(*number);
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) {
      for (const std::int64_t number : *list) check(number);
    }
    return value;
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
  std::size_t layers_ = 0;
};

}  // namespace

Config parse_config(std::string_view toml, std::string_view where) {
  if (toml.size() > kMaxBytes) {
    fail<IoError>("[config] {}: expected at most {} bytes, got {}", where, kMaxBytes, toml.size());
  }
  if (const std::size_t line = line_of_deep_key(toml); line != 0) {
    fail<IoError>("[config] {}:{}: expected keys of at most {} parts, got more", where, line,
                  kMaxKeyParts);
  }
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
