#include "other_work.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

namespace evenkeel::bench {
namespace {

/// What all processors have done since the system began, in seconds; negative where it is not
/// known.
double busy_seconds() {
  std::ifstream file("/proc/stat");
  std::string word;
  std::array<double, 8> ticks{};  // user nice system idle iowait irq softirq steal
  file >> word;
  for (double& count : ticks) file >> count;
  if (!file) return -1;
  const double busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7];
  return busy / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double own_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double seconds_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');  // the second field may hold blanks
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double clock_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

}  // namespace

OtherWork::OtherWork()
    : begin_seconds_(clock_seconds()), begin_busy_(busy_seconds()), begin_own_(own_seconds()) {}

double OtherWork::part(std::span<const pid_t> workers) const {
  const double busy = busy_seconds();
  if (busy < 0 || begin_busy_ < 0) return -1;
  double own = own_seconds() - begin_own_;
  for (const pid_t worker : workers) own += seconds_of(worker);
  const double available =
      (clock_seconds() - begin_seconds_) * std::max(1U, std::thread::hardware_concurrency());
  return available <= 0 ? -1 : std::max(0.0, (busy - begin_busy_ - own) / available);
}

}  // namespace evenkeel::bench
