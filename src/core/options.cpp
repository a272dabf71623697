#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace evenkeel {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

[[noreturn]] void wrong_type(const std::string& key, std::string_view wanted,
                             const OptionValue& value) {
  fail<UsageError>("[options] '{}' expects {}, got {}", key, wanted, to_string(value));
}

}  // namespace

const OptionValue* Options::find(const std::string& key) const {
  known_.insert(key);
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

bool Options::get(const std::string& key, bool fallback) const {
  const OptionValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* b = std::get_if<bool>(value)) return *b;
  wrong_type(key, "true or false", *value);
}

std::int64_t Options::get(const std::string& key, std::int64_t fallback) const {
  const OptionValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* i = std::get_if<std::int64_t>(value)) return *i;
  wrong_type(key, "an integer", *value);
}

double Options::get(const std::string& key, double fallback) const {
  const OptionValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* d = std::get_if<double>(value)) return *d;
  if (const auto* i = std::get_if<std::int64_t>(value)) return static_cast<double>(*i);
  wrong_type(key, "a number", *value);
}

std::string Options::get(const std::string& key, const std::string& fallback) const {
  const OptionValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* s = std::get_if<std::string>(value)) return *s;
  wrong_type(key, "a text", *value);
}

std::vector<std::int64_t> Options::get(const std::string& key,
                                       const std::vector<std::int64_t>& fallback) const {
  const OptionValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(value)) return *list;
  if (const auto* i = std::get_if<std::int64_t>(value)) {
    return std::vector<std::int64_t>(std::max<std::size_t>(fallback.size(), 1), *i);
  }
  wrong_type(key, "a list of integers", *value);
}

std::int64_t Options::require_int(const std::string& key, std::string_view where) const {
  if (find(key) == nullptr) {
    fail<UsageError>("[{}] the key '{}' is missing: give an integer", where, key);
  }
  return get(key, std::int64_t{0});
}

void Options::reject_unknown(std::string_view where) const {
  for (const auto& [key, value] : values_) {
    if (known_.count(key) != 0) continue;
    const std::vector<std::string> candidates(known_.begin(), known_.end());
    fail<UsageError>("[{}] unknown key '{}'{}", where, key, did_you_mean(key, candidates));
  }
}

std::string to_string(const OptionValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
          return fmt::format("[{}]", fmt::join(v, ", "));
        } else {
          return fmt::format("{}", v);
        }
      },
      value);
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const auto candidate = nearest(word, candidates);
  return candidate ? fmt::format("; did you mean '{}'?", *candidate) : std::string();
}

}  // namespace evenkeel
