// Named values: what a layer is built from, and what it prints of itself. The same keys serve the C++
// options structs, config files and command-line flags.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace evenkeel {

using OptionValue =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>>;

/// An ordered map of options that remembers which keys were read, so that a key nobody asked for is
/// reported with the nearest known one.
class Options {
 public:
  Options() = default;
  Options(std::initializer_list<std::pair<const std::string, OptionValue>> values)
      : values_(values) {}

  void set(const std::string& key, OptionValue value) { values_[key] = std::move(value); }
  bool contains(const std::string& key) const { return values_.count(key) != 0; }
  const std::map<std::string, OptionValue>& values() const { return values_; }

  /// The value of `key`, or `fallback`. Throws UsageError where the type does not fit; an integer is
  /// accepted for a double, and one integer for a list of equal integers.
  bool get(const std::string& key, bool fallback) const;
  std::int64_t get(const std::string& key, std::int64_t fallback) const;
  double get(const std::string& key, double fallback) const;
  std::string get(const std::string& key, const std::string& fallback) const;
  std::vector<std::int64_t> get(const std::string& key,
                                const std::vector<std::int64_t>& fallback) const;
  /// Throws UsageError naming `where` if the key is missing.
  std::int64_t require_int(const std::string& key, std::string_view where) const;

  /// Throws UsageError for a key that no get() or require asked for.
  void reject_unknown(std::string_view where) const;

 private:
  const OptionValue* find(const std::string& key) const;

  std::map<std::string, OptionValue> values_;
  mutable std::set<std::string> known_;
};

/// "true", "3", "0.1", "text", "[1, 2]"
std::string to_string(const OptionValue& value);

/// The candidate nearest to `word` by edit distance, if any is near enough to be a slip of the hand.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "; did you mean 'x'?" or "", to append to a message about an unknown word.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace evenkeel
