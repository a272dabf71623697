#include "io/number.h"

#include <charconv>
#include <cmath>

namespace evenkeel::io {
namespace {

enum class Outcome { number, out_of_range, text };

template <class T>
Outcome parse(std::string_view text, T& value) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return Outcome::text;
  }
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::invalid_argument || stop != end) return Outcome::text;
  return error == std::errc{} ? Outcome::number : Outcome::out_of_range;
}

/// Whether a number that no double holds is too small, not too large.
bool is_tiny(std::string_view text) {
  const auto exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) return text.substr(exponent + 1).starts_with('-');
  return text.find_first_not_of("+-0.") > text.find('.');
}

}  // namespace

TextNumber parse_number(std::string_view text) {
  using Kind = TextNumber::Kind;
  float value = 0;
  const Outcome outcome = parse(text, value);
  if (outcome == Outcome::text) return {};
  // "inf" and "nan" are the only numbers with an n.
  const bool word = text.find_first_of("nN") != std::string_view::npos;
  if (word) return {Kind::not_finite, 0};
  if (outcome == Outcome::number && std::isfinite(value)) return {Kind::number, value};
  double wide = 0;
  if (parse(text, wide) == Outcome::number) {
    if (std::fabs(wide) < 1) return {Kind::number, static_cast<float>(wide)};
    return {Kind::too_large, 0};
  }
  return is_tiny(text) ? TextNumber{Kind::number, 0} : TextNumber{Kind::too_large, 0};
}

std::optional<double> parse_double(std::string_view text) {
  double value = 0;
  if (parse(text, value) != Outcome::number || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace evenkeel::io
