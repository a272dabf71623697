// Where the figures come from.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace evenkeel::bench {

/// Processor, its number, caches.
nlohmann::ordered_json machine_json();
/// One line of it.
std::string machine_text();

/// Bytes of the last-level cache; 0 where the system does not say.
std::size_t last_level_cache();

}  // namespace evenkeel::bench
