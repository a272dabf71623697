#include "machine.h"

#include <algorithm>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

namespace evenkeel::bench {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown processor";
}

std::size_t cache(int name) {
  const long size = ::sysconf(name);
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

constexpr double kMiB = 1024.0 * 1024.0;

}  // namespace

std::size_t last_level_cache() {
#if defined(_SC_LEVEL3_CACHE_SIZE)
  return std::max(cache(_SC_LEVEL3_CACHE_SIZE), cache(_SC_LEVEL2_CACHE_SIZE));
#else
  return 0;
#endif
}

nlohmann::ordered_json machine_json() {
  nlohmann::ordered_json json{{"processor", processor_name()},
                              {"processors", std::thread::hardware_concurrency()}};
#if defined(_SC_LEVEL3_CACHE_SIZE)
  json["level_2"] = cache(_SC_LEVEL2_CACHE_SIZE);
  json["level_3"] = cache(_SC_LEVEL3_CACHE_SIZE);
#endif
  return json;
}

std::string machine_text() {
  std::string text =
      fmt::format("{}, {} processors", processor_name(), std::thread::hardware_concurrency());
#if defined(_SC_LEVEL3_CACHE_SIZE)
  text += fmt::format(", {:.0f} MiB of level 2 cache each, {:.0f} MiB of level 3",
                      static_cast<double>(cache(_SC_LEVEL2_CACHE_SIZE)) / kMiB,
                      static_cast<double>(cache(_SC_LEVEL3_CACHE_SIZE)) / kMiB);
#endif
  return text;
}

}  // namespace evenkeel::bench
