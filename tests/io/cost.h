// What a call costs, measured in a process of its own.
#pragma once

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <evenkeel/core/memory.h>

namespace evenkeel::io::testing {

/// Where a sanitizer watches, its own records of every block are counted with it.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::int64_t kGrowthLimit = 64 << 10;
#else
inline constexpr std::int64_t kGrowthLimit = 16 << 10;
#endif

struct Cost {
  std::string outcome;      ///< what the call gave
  double milliseconds = 0;  ///< of the call
  std::int64_t growth = 0;  ///< KiB of memory at its peak above what the process had
  std::int64_t asked = 0;   ///< KiB asked for tensors, used or not
};

inline std::int64_t peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// Calls `warm_up`, which brings in the code, and then measures `call`, in a child whose memory
/// nothing else has enlarged.
inline Cost cost_of(const std::function<void()>& warm_up,
                    const std::function<std::string()>& call) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("cannot open a pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    warm_up();
    std::size_t asked = 0;
    set_allocation_hook([&](std::size_t bytes) {
      asked += bytes;
      return true;
    });
    const std::int64_t before = peak_memory();
    const auto start = std::chrono::steady_clock::now();
    const std::string outcome = call();
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - start;
    const std::string report = std::to_string(spent.count()) + " " +
                               std::to_string(peak_memory() - before) + " " +
                               std::to_string(asked >> 10) + " " + outcome;
    const bool written =
        ::write(ends[1], report.data(), report.size()) == static_cast<ssize_t>(report.size());
    ::_exit(written ? 0 : 1);
  }
  ::close(ends[1]);
  std::string report;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    report.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return {"the process died", 0, 0, 0};
  char* rest = nullptr;
  Cost cost;
  cost.milliseconds = std::strtod(report.c_str(), &rest);
  cost.growth = std::strtol(rest, &rest, 10);
  cost.asked = std::strtol(rest, &rest, 10);
  cost.outcome = rest + 1;
  return cost;
}

}  // namespace evenkeel::io::testing
