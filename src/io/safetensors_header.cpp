#include "io/safetensors_header.h"

#include <array>
#include <iterator>
#include <unordered_set>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace evenkeel::io {
namespace {

using nlohmann::json;

// More extents than any shape has; a Shape's own limit is reported with the number found.
constexpr std::size_t kMaxList = 64;

/// Takes the parser's events one by one, so that no tree is built of what a hostile header holds,
/// and stops it at the first token that has no place: depth never passes 3.
class HeaderHandler : public nlohmann::json_sax<json> {
 public:
  HeaderHandler(SafetensorsHeader& header, const Origin& origin)
      : header_(header), origin_(origin) {}

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool number_integer(number_integer_t value) override {
    unexpected(fmt::format("{}", value));  // the parser calls this for negative numbers only
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::shape && place_ != Place::offsets) unexpected(fmt::format("{}", value));
    auto& list = place_ == Place::shape ? entry().shape : entry().offsets;
    if (place_ == Place::offsets && list.size() == 2) unexpected("a third number");
    if (list.size() == kMaxList) unexpected(fmt::format("more than {}", kMaxList));
    list.push_back(value);
    return true;
  }
  bool number_float(number_float_t, const string_t& text) override { unexpected(quote(text)); }
  bool string(string_t& value) override {
    if (place_ == Place::metadata && key_ != nullptr) {
      *key_ = std::move(value);
      key_ = nullptr;
    } else if (place_ == Place::dtype) {
      entry().dtype = std::move(value);
      place_ = Place::tensor;
    } else {
      unexpected(quote(value));
    }
    return true;
  }
  bool binary(binary_t&) override { unexpected("binary data"); }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) {
      place_ = Place::names;
    } else if (place_ == Place::value) {
      place_ = is_metadata_ ? Place::metadata : Place::tensor;
    } else {
      unexpected("an object");
    }
    return true;
  }
  bool key(string_t& name) override {
    if (place_ == Place::names) {
      open_name(name);
    } else if (place_ == Place::metadata) {
      const auto [position, added] = header_.metadata.emplace(std::move(name), "");
      if (!added) origin_.refuse("metadata key {} comes twice", quote(position->first));
      key_ = &position->second;
    } else {
      open_field(name);
    }
    return true;
  }
  bool end_object() override {
    if (place_ == Place::names) {
      place_ = Place::done;
      return true;
    }
    if (place_ == Place::tensor) {
      if (!seen_dtype_) where().refuse("expected a dtype, got none");
      if (!seen_shape_) where().refuse("expected a shape, got none");
      if (entry().offsets.size() != 2) {
        where().refuse("expected data_offsets [begin, end], got [{}]",
                       fmt::join(entry().offsets, ", "));
      }
    }
    place_ = Place::names;
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::before_shape) {
      place_ = Place::shape;
    } else if (place_ == Place::before_offsets) {
      place_ = Place::offsets;
    } else {
      unexpected("a list");
    }
    return true;
  }
  bool end_array() override {
    place_ = Place::tensor;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    origin_.refuse("expected a JSON header, got something else at byte {} of it", position);
  }

 private:
  enum class Place {
    start,
    names,
    value,
    tensor,
    dtype,
    before_shape,
    shape,
    before_offsets,
    offsets,
    metadata,
    done
  };

  SafetensorsEntry& entry() { return header_.entries.back(); }
  Origin where() { return origin_.part("tensor", entry().name); }

  void open_name(const std::string& name) {
    place_ = Place::value;
    is_metadata_ = name == "__metadata__";
    if (is_metadata_) {
      if (seen_metadata_) origin_.refuse("__metadata__ comes twice");
      seen_metadata_ = true;
      return;
    }
    if (name.size() > kMaxTensorName) {
      origin_.refuse("expected names of at most {} bytes, got {}", kMaxTensorName, quote(name));
    }
    if (!names_.insert(name).second) origin_.refuse("tensor {} comes twice", quote(name));
    header_.entries.emplace_back().name = name;
    seen_dtype_ = seen_shape_ = seen_offsets_ = false;
  }

  void open_field(const std::string& name) {
    bool* seen = nullptr;
    if (name == "dtype") {
      place_ = Place::dtype;
      seen = &seen_dtype_;
    } else if (name == "shape") {
      place_ = Place::before_shape;
      seen = &seen_shape_;
    } else if (name == "data_offsets") {
      place_ = Place::before_offsets;
      seen = &seen_offsets_;
    } else {
      where().refuse("expected dtype, shape and data_offsets, got {}", quote(name));
    }
    if (*seen) where().refuse("{} comes twice", name);
    *seen = true;
  }

  [[noreturn]] void unexpected(const std::string& what) {
    switch (place_) {
      case Place::start:
      case Place::names:
      case Place::done:
        origin_.refuse("expected a JSON object as header, got {}", what);
      case Place::metadata:
        origin_.refuse("expected texts in __metadata__, got {}", what);
      case Place::value:
        if (is_metadata_)
          origin_.refuse("expected an object of texts as __metadata__, got {}", what);
        where().refuse("expected an object with dtype, shape and data_offsets, got {}", what);
      case Place::dtype:
        where().refuse("expected the name of a dtype, got {}", what);
      case Place::before_shape:
      case Place::shape:
        where().refuse("expected a list of extents of 0 or more as shape, got {}", what);
      case Place::before_offsets:
      case Place::offsets:
      case Place::tensor:
        break;
    }
    where().refuse("expected data_offsets [begin, end] in whole bytes, got {}", what);
  }

  SafetensorsHeader& header_;
  const Origin& origin_;
  Place place_ = Place::start;
  std::unordered_set<std::string> names_;
  std::string* key_ = nullptr;  // the metadata value that is awaited
  bool is_metadata_ = false;
  bool seen_metadata_ = false;
  bool seen_dtype_ = false;
  bool seen_shape_ = false;
  bool seen_offsets_ = false;
};

/// The characters of a source, fetched in chunks.
class HeaderText {
 public:
  HeaderText(Source& source, const Origin& origin) : source_(source), origin_(origin) {}

  bool at_end() {
    if (next_ == count_) {
      count_ = source_.read(std::as_writable_bytes(std::span<char>(buffer_)));
      next_ = 0;
    }
    return count_ == 0;
  }
  char peek() const {
    // The parser takes a zero byte for the end, and would not see what lies behind it.
    if (buffer_[next_] == '\0') {
      origin_.refuse("expected a JSON header, got a zero byte at byte {} of it", position_);
    }
    return buffer_[next_];
  }
  void advance() {
    ++next_;
    ++position_;
  }

 private:
  Source& source_;
  const Origin& origin_;
  std::array<char, 16 * 1024> buffer_{};
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  std::uint64_t position_ = 0;
};

/// An input iterator over a HeaderText; without one, the end of any.
struct TextIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  HeaderText* text = nullptr;

  bool at_end() const { return text == nullptr || text->at_end(); }
  char operator*() const { return text->peek(); }
  TextIterator& operator++() {
    text->advance();
    return *this;
  }
  bool operator==(const TextIterator& other) const { return at_end() == other.at_end(); }
};

std::string json_text(const std::string& text, std::string_view what, const Origin& origin) {
  try {
    return json(text).dump();
  } catch (const json::exception&) {
    origin.refuse("expected {} in UTF-8, got {}", what, quote(text));
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(Source& json_source, const Origin& origin) {
  HeaderText text(json_source, origin);
  if (text.at_end() || text.peek() != '{') {
    origin.refuse("expected a header that begins with '{{', got something else");
  }
  SafetensorsHeader header;
  HeaderHandler handler(header, origin);
  json::sax_parse(TextIterator{&text}, TextIterator{}, &handler);
  return header;
}

std::string make_safetensors_header(const SafetensorsHeader& header, const Origin& origin) {
  std::string out = "{";
  if (!header.metadata.empty()) {
    out += "\"__metadata__\":{";
    for (const auto& [key, value] : header.metadata) {
      if (out.back() != '{') out += ',';
      out += json_text(key, "metadata keys", origin) + ':' +
             json_text(value, "metadata values", origin);
    }
    out += '}';
  }
  for (const SafetensorsEntry& entry : header.entries) {
    if (out.size() > 1) out += ',';
    out += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{}]}})",
                       json_text(entry.name, "tensor names", origin), entry.dtype,
                       fmt::join(entry.shape, ","), fmt::join(entry.offsets, ","));
  }
  out += '}';
  out.append((8 - out.size() % 8) % 8, ' ');
  return out;
}

}  // namespace evenkeel::io
