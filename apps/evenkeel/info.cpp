// evenkeel info

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include <fmt/ranges.h>
#include <unistd.h>

#include "command.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/norm/isa.h>

namespace evenkeel::app {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

/// The vector extensions that the kernels could use.
std::vector<std::string> processor_features() {
  std::vector<std::string> features;
#if defined(__x86_64__) || defined(__i386__)
  const auto note = [&](bool supported, const char* name) {
    if (supported) features.emplace_back(name);
  };
  note(__builtin_cpu_supports("sse2") != 0, "sse2");
  note(__builtin_cpu_supports("ssse3") != 0, "ssse3");
  note(__builtin_cpu_supports("sse4.2") != 0, "sse4.2");
  note(__builtin_cpu_supports("avx") != 0, "avx");
  note(__builtin_cpu_supports("avx2") != 0, "avx2");
  note(__builtin_cpu_supports("fma") != 0, "fma");
  note(__builtin_cpu_supports("avx512f") != 0, "avx512f");
  note(__builtin_cpu_supports("avx512bw") != 0, "avx512bw");
  note(__builtin_cpu_supports("avx512vnni") != 0, "avx512vnni");
#endif
  return features;
}

std::uint64_t total_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long size = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || size <= 0) return 0;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : fmt::format("{}={}", name, value);
}

bool fusion_on() {
  const char* value = std::getenv("EVENKEEL_FUSION");
  return value == nullptr || std::string_view(value) != "0";
}

int run_info(bool json) {
  const auto isas = norm::available_isas();
  const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (json) {
    print_json(Json{{"version", EVENKEEL_VERSION},
                    {"processor", processor_name()},
                    {"processors", processors},
                    {"features", processor_features()},
                    {"kernels", norm::chosen_isa()},
                    {"kernels_available", isas},
                    {"threads", max_threads()},
                    {"deterministic", evenkeel::deterministic()},
                    {"fusion", fusion_on()},
                    {"memory", total_memory()}});
    return 0;
  }
  std::vector<std::string> forced;
  for (const char* name : {"EVENKEEL_ISA", "EVENKEEL_FUSION", "OMP_NUM_THREADS"}) {
    if (const std::string text = environment(name); !text.empty()) forced.push_back(text);
  }
  Table table({{""}, {""}});
  table.add({"evenkeel", EVENKEEL_VERSION});
  table.add({"processor", processor_name()});
  table.add({"features", fmt::format("{}", fmt::join(processor_features(), " "))});
  table.add({"kernels", fmt::format("{} (of {})", norm::chosen_isa(), fmt::join(isas, " "))});
  table.add({"threads", fmt::format("{} (of {} processors)", max_threads(), processors)});
  table.add({"fusion", fusion_on() ? "on" : "off"});
  table.add({"memory", bytes_text(total_memory())});
  table.add({"environment",
             forced.empty() ? "nothing forced" : fmt::format("{}", fmt::join(forced, " "))});
  print(table.str());
  return 0;
}

}  // namespace

Action define_info(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  add_json(app, *json);
  app.footer(
      "The environment can force a choice: EVENKEEL_ISA=avx2 (one of the kernels),\n"
      "EVENKEEL_FUSION=0, OMP_NUM_THREADS=1.\n\n"
      "Examples:\n"
      "  evenkeel info\n"
      "  EVENKEEL_ISA=reference evenkeel info");
  return [json] { return run_info(*json); };
}

}  // namespace evenkeel::app
