#include <charconv>
#include <cstddef>
#include <system_error>

#include "data/source_table.h"
#include <evenkeel/core/options.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/glyphs.h>

namespace evenkeel::data {
namespace {

constexpr std::uint64_t kMaxSamples = 10'000'000;
constexpr std::uint64_t kTestSalt =
    0x676c797068732f74;  // keeps test digits apart from training ones

struct GlyphOptions {
  std::uint64_t train = 10'000, test = 2'000, seed = 1;
};

std::uint64_t parse_number(std::string_view key, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    fail<UsageError>("[glyphs] expected a whole number for {}, got '{}'", key, text);
  }
  return value;
}

void set_option(GlyphOptions& options, std::string_view item) {
  const std::size_t equals = item.find('=');
  const std::string key(item.substr(0, equals));
  if (key != "train" && key != "test" && key != "seed") {
    fail<UsageError>("[glyphs] expected train, test or seed, got '{}'{}", key,
                     did_you_mean(key, {"train", "test", "seed"}));
  }
  const std::uint64_t value =
      parse_number(key, equals == std::string_view::npos ? "" : item.substr(equals + 1));
  if (key == "seed") {
    options.seed = value;
    return;
  }
  if (value < 1 || value > kMaxSamples) {
    fail<UsageError>("[glyphs] expected {} from 1 to {}, got {}", key, kMaxSamples, value);
  }
  (key == "train" ? options.train : options.test) = value;
}

}  // namespace

Splits open_glyphs(const std::string& rest, const SourceOptions& /*options*/) {
  GlyphOptions wanted;
  std::string_view left = rest;
  while (!left.empty()) {
    const std::size_t comma = left.find(',');
    set_option(wanted, left.substr(0, comma));
    left = comma == std::string_view::npos ? std::string_view() : left.substr(comma + 1);
  }
  return {
      .train = make_glyphs(static_cast<std::int64_t>(wanted.train), wanted.seed),
      .validation = {},
      .test = make_glyphs(static_cast<std::int64_t>(wanted.test), mix64(wanted.seed ^ kTestSalt))};
}

}  // namespace evenkeel::data
