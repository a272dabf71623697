#include <algorithm>
#include <cstddef>
#include <string_view>

#include "io/number.h"
#include "io/origin.h"
#include <evenkeel/io/file.h>
#include <evenkeel/io/sequences.h>

namespace evenkeel::io {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{2} << 30;
constexpr std::string_view kBlanks = " \t\r,";

std::string_view stripped(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// Collects the sequences of one file, line by line.
class Builder {
 public:
  explicit Builder(const Origin& origin) : origin_(origin) {}

  /// Reads a step of the sequence that is open.
  void add_step(std::string_view line, std::size_t number) {
    const std::size_t before = result_.values.size();
    for (std::size_t at = 0; (at = line.find_first_not_of(kBlanks, at)) != line.npos;) {
      const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
      add_value(line.substr(at, end - at), number);
      at = end;
    }
    const auto count = static_cast<std::int64_t>(result_.values.size() - before);
    if (count == 0) {
      origin_.refuse("line {}: expected numbers, got {}", number, quote(line, 40));
    }
    if (result_.features == 0) {
      result_.features = count;
      first_line_ = number;
    } else if (count != result_.features) {
      origin_.refuse("line {}: expected {} values as in line {}, got {}", number, result_.features,
                     first_line_, count);
    }
    ++steps_;
  }
  /// Whether the step added last is ones alone.
  bool last_is_ones() const {
    return steps_ > 0 && std::all_of(result_.values.end() - result_.features, result_.values.end(),
                                     [](float v) { return v == 1.0F; });
  }
  void drop_step() {
    result_.values.resize(result_.values.size() - static_cast<std::size_t>(result_.features));
    --steps_;
  }
  std::int64_t steps() const { return steps_; }
  /// Ends the sequence that is open.
  void close() {
    result_.lengths.push_back(steps_);
    steps_ = 0;
  }
  void label(std::string_view name) { result_.labels.emplace_back(name); }

  Sequences take(std::string_view wanted) {
    if (result_.lengths.empty()) origin_.refuse("expected {}, got none", wanted);
    return std::move(result_);
  }

 private:
  void add_value(std::string_view text, std::size_t number) {
    const TextNumber value = parse_number(text);
    switch (value.kind) {
      case TextNumber::Kind::number:
        result_.values.push_back(value.value);
        return;
      case TextNumber::Kind::not_finite:
        origin_.refuse("line {}: expected finite numbers, got {}", number, quote(text, 40));
      case TextNumber::Kind::too_large:
        origin_.refuse("line {}: expected numbers of at most 3.4e38, got {}", number,
                       quote(text, 40));
      case TextNumber::Kind::text:
        break;
    }
    origin_.refuse("line {}: expected numbers, got {}", number, quote(text, 40));
  }

  const Origin& origin_;
  Sequences result_;
  std::int64_t steps_ = 0;
  std::size_t first_line_ = 0;
};

/// A whole file.
class Text {
 public:
  explicit Text(const std::filesystem::path& path)
      : bytes_(read_file_maybe_gzip(path, kMaxBytes)) {}

  std::string_view view() const {
    const std::string_view all(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    return all.substr(all.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  }

 private:
  std::vector<std::byte> bytes_;
};

/// Calls f(line, number) for every line, without what ends it.
template <class F>
void for_each_line(const Text& text, F&& f) {
  std::string_view rest = text.view();
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    f(stripped(rest.substr(0, end)), number);
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
}

/// The name after the word class, where the line begins a sequence.
bool begins_sequence(std::string_view line, std::string_view& name) {
  constexpr std::string_view kWord = "class";
  if (!line.starts_with(kWord)) return false;
  name = stripped(line.substr(kWord.size()));
  return line.size() == kWord.size() || line[kWord.size()] == ' ' || line[kWord.size()] == '\t';
}

Sequences parse_labelled(const Text& text, const Origin& origin) {
  Builder builder(origin);
  std::size_t opened = 0;  // line of the sequence that is open
  const auto close = [&] {
    if (opened == 0) return;
    if (builder.steps() == 0) origin.refuse("line {}: expected steps after it, got none", opened);
    builder.close();
  };
  for_each_line(text, [&](std::string_view line, std::size_t number) {
    line = stripped(line.substr(0, line.find('#')));
    if (line.empty()) return;
    std::string_view name;
    if (begins_sequence(line, name)) {
      close();
      if (name.empty()) origin.refuse("line {}: expected a name after class, got none", number);
      builder.label(name);
      opened = number;
    } else if (opened == 0) {
      origin.refuse("line {}: expected class NAME before the first step, got {}", number,
                    quote(line, 40));
    } else {
      builder.add_step(line, number);
    }
  });
  close();
  return builder.take("sequences that begin with class NAME");
}

/// An empty line ends a sequence; so does one of ones where that is asked for.
Sequences parse_blocks(const Text& text, const Origin& origin, bool ones_end) {
  Builder builder(origin);
  for_each_line(text, [&](std::string_view line, std::size_t number) {
    if (line.empty()) {
      if (builder.steps() > 0) builder.close();
      return;
    }
    builder.add_step(line, number);
    if (!ones_end || !builder.last_is_ones()) return;
    builder.drop_step();
    if (builder.steps() == 0) {
      origin.refuse("line {}: expected steps before the line of ones, got none", number);
    }
    builder.close();
  });
  if (builder.steps() > 0) builder.close();
  return builder.take("lines of numbers");
}

/// Whether the first line that says anything begins a sequence.
bool is_labelled(const Text& text) {
  bool labelled = false, decided = false;
  for_each_line(text, [&](std::string_view line, std::size_t /*number*/) {
    line = stripped(line.substr(0, line.find('#')));
    std::string_view name;
    if (!decided && !line.empty()) labelled = begins_sequence(line, name);
    decided = decided || !line.empty();
  });
  return labelled;
}

}  // namespace

Sequences read_sequences(const std::filesystem::path& path) {
  return parse_labelled(Text(path), Origin("sequence", path));
}

Sequences read_vowels(const std::filesystem::path& path) {
  return parse_blocks(Text(path), Origin("sequence", path), /*ones_end=*/true);
}

Sequences read_any_sequences(const std::filesystem::path& path) {
  const Text text(path);
  const Origin origin("sequence", path);
  // Ones alone are a step like any other here: nothing says that they are not.
  return is_labelled(text) ? parse_labelled(text, origin) : parse_blocks(text, origin, false);
}

}  // namespace evenkeel::io
