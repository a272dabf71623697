#include "memory.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include "own.h"
#include "own_step.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/memory.h>

namespace evenkeel::bench {
namespace {

constexpr int kWarmSteps = 5;
constexpr int kWindows = 5;
constexpr int kWindowSteps = 10;

long minor_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// Bytes that the C library holds from the system.
long held_by_malloc() {
  const auto info = mallinfo2();
  return static_cast<long>(info.arena + info.hblkhd);
}

std::string layout_words(const StepCase& step, Layout layout) {
  if (step.sample.rank() < 3) return "rows";
  return layout == Layout::channels_first ? "channels first" : "channels last";
}

MemoryEntry own_entry(const StepCase& step, const StepData& data, OwnStepOptions options,
                      int threads) {
  OwnStep own(step, data, options);
  own.prepare(threads);
  for (int i = 0; i < kWarmSteps; ++i) own.run();
  MemoryEntry entry;
  entry.who = "evenkeel";
  entry.version = own_version();
  entry.how = layout_words(step, options.layout);
  if (options.memory != nn::Memory::normal) {
    entry.how += fmt::format(", memory {}", nn::name_of(options.memory));
  }
  entry.standing = static_cast<double>(own.standing_bytes());
  reset_peak_memory();
  const std::size_t before = memory_stats().current;
  own.run();
  entry.peak = entry.standing + static_cast<double>(memory_stats().peak - before);
  const std::uint64_t requests = memory_stats().system_requests;
  const long held = held_by_malloc();
  entry.faults = std::numeric_limits<long>::max();
  for (int window = 0; window < kWindows; ++window) {
    const long faults = minor_faults();
    for (int i = 0; i < kWindowSteps; ++i) own.run();
    entry.faults = std::min(entry.faults, minor_faults() - faults);
  }
  entry.requests = static_cast<long>(memory_stats().system_requests - requests);
  entry.grown = std::max(0L, held_by_malloc() - held);
  return entry;
}

void add_own(const StepCase& step, const StepData& data, int threads, RunnerOptions options,
             std::vector<MemoryEntry>& entries) {
  std::vector<Candidate> candidates;
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    if (step.sample.rank() < 3 && layout == Layout::channels_last) continue;
    for (const nn::Memory memory : {nn::Memory::keep, nn::Memory::normal, nn::Memory::save}) {
      const OwnStepOptions how{.layout = layout, .memory = memory};
      entries.push_back(own_entry(step, data, how, threads));
      release_cached_memory();
      const auto own = std::make_shared<OwnStep>(step, data, how);
      Candidate candidate;
      candidate.who = "evenkeel";
      candidate.layout = layout;
      candidate.seconds = timed([own, threads] { own->prepare(threads); }, [own] { own->run(); });
      candidates.push_back(std::move(candidate));
    }
  }
  options.rounds = std::min(options.rounds, step.rounds);
  options.give_up = 0;
  const std::vector<Timing> timings = run_in_turns(candidates, options);
  for (std::size_t i = 0; i < timings.size(); ++i) entries[i].seconds = timings[i].min;
}

void add_peers(const StepCase& step, const StepData& data, int threads,
               std::vector<std::unique_ptr<Worker>>& workers, const std::filesystem::path& folder,
               std::vector<MemoryEntry>& entries) {
  const Json request = describe(step, data, threads, folder);
  for (auto& worker : workers) {
    const Json answer = worker->ask(request);
    for (const Json& row : answer.at("candidates")) {
      const Json found = worker->ask({{"do", "memory"}, {"key", row.at("key")}});
      MemoryEntry entry;
      entry.who = row.at("who").get<std::string>();
      entry.version = row.at("version").get<std::string>();
      entry.how = row.at("how").get<std::string>();
      entry.standing = found.at("standing").get<double>();
      entry.peak = found.at("peak").get<double>();
      entry.faults = found.at("faults").get<long>();
      entries.push_back(std::move(entry));
    }
  }
}

std::string mebibytes(double bytes) { return fmt::format("{:.1f}", bytes / (1 << 20)); }

std::string or_blank(long count) { return count < 0 ? "" : fmt::format("{}", count); }

}  // namespace

double MemoryMeasurement::best_peer() const {
  double best = 0;
  for (const MemoryEntry& entry : entries) {
    if (entry.who == "evenkeel") continue;
    best = best == 0 ? entry.peak : std::min(best, entry.peak);
  }
  return best;
}

const MemoryEntry* MemoryMeasurement::normal_of(const MemoryEntry& entry) const {
  const std::string wanted = entry.how.substr(0, entry.how.find(','));
  const auto found = std::ranges::find_if(entries, [&](const MemoryEntry& other) {
    return other.who == entry.who && other.how == wanted;
  });
  return found == entries.end() ? nullptr : &*found;
}

MemoryMeasurement measure_memory(const StepCase& step, int threads,
                                 std::vector<std::unique_ptr<Worker>>& workers,
                                 const std::filesystem::path& folder, RunnerOptions options) {
  const StepData data = data_of(step);
  const std::string net = step.activation == "auto" ? step.net : step.net + " " + step.activation;
  MemoryMeasurement result{net, step.batch, threads, {}};
  const bool was_deterministic = deterministic();
  add_own(step, data, threads, options, result.entries);
  set_deterministic(was_deterministic);
  add_peers(step, data, threads, workers, folder, result.entries);
  return result;
}

Grid memory_grid(const std::vector<MemoryMeasurement>& measurements) {
  Grid grid;
  grid.rows.push_back({"step", "batch", "threads", "by", "standing MiB", "peak MiB", "of best peer",
                       "faults", "requests", "C library grew", "ms", "of normal"});
  for (const MemoryMeasurement& m : measurements) {
    const double peer = m.best_peer();
    for (const MemoryEntry& entry : m.entries) {
      const bool own = entry.who == "evenkeel";
      const MemoryEntry* const normal = m.normal_of(entry);
      const bool timed = own && normal != nullptr && normal->seconds > 0;
      grid.rows.push_back({m.net, fmt::format("{}", m.batch), fmt::format("{}", m.threads),
                           own ? entry.who + " " + entry.how
                               : fmt::format("{} {} {}", entry.who, entry.version, entry.how),
                           mebibytes(entry.standing), mebibytes(entry.peak),
                           own && peer > 0 ? fmt::format("{:.3f}", entry.peak / peer) : "",
                           fmt::format("{}", entry.faults), or_blank(entry.requests),
                           or_blank(entry.grown),
                           entry.seconds > 0 ? milliseconds(entry.seconds) : "",
                           timed ? fmt::format("{:.3f}", entry.seconds / normal->seconds) : ""});
    }
  }
  return grid;
}

Json to_json(const MemoryMeasurement& m) {
  Json entries = Json::array();
  for (const MemoryEntry& entry : m.entries) {
    Json json{{"who", entry.who},           {"version", entry.version}, {"how", entry.how},
              {"standing", entry.standing}, {"peak", entry.peak},       {"faults", entry.faults}};
    if (entry.who == "evenkeel") {
      json["requests"] = entry.requests;
      json["grown"] = entry.grown;
      json["seconds"] = entry.seconds;
      if (m.best_peer() > 0) json["of_best_peer"] = entry.peak / m.best_peer();
    }
    entries.push_back(std::move(json));
  }
  return {{"net", m.net}, {"batch", m.batch}, {"threads", m.threads}, {"entries", entries}};
}

}  // namespace evenkeel::bench
