// The command as a process of its own, with its surroundings arranged: environment, faults, limits.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

namespace evenkeel::testing {

struct Outcome {
  int code = 0;    ///< that the process gave; -1 where a signal ended it
  int signal = 0;  ///< that ended it, or 0
  std::string out, err;

  /// For messages: how it ended and what it said.
  std::string str() const;
};

/// What to start, and under which conditions.
struct Invocation {
  std::vector<std::string> arguments;                ///< of evenkeel
  std::filesystem::path program{};                   ///< another than evenkeel; empty: evenkeel
  std::map<std::string, std::string> environment{};  ///< set beside what is there
  bool bare = false;                                 ///< nothing of this process's environment
  std::string faults{};                ///< for preload/faulty_io.cpp; it is not loaded where
  std::filesystem::path record{};      ///< there are no faults and no record
  std::filesystem::path watched{};     ///< the folder that both are about
  std::filesystem::path out{}, err{};  ///< where output goes; empty: into the Outcome
  std::function<void()> prepare{};     ///< in the new process, last before the command
};

/// A running command. Killed where nobody waited for it.
class Process {
 public:
  explicit Process(const Invocation& invocation);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const;
  /// Whether it has not ended yet.
  bool running() const;
  /// Waits for the end. After five minutes the process is killed and the test fails.
  Outcome wait();

 private:
  pid_t child_ = -1;
  std::filesystem::path out_, err_;
  bool keep_out_ = false, keep_err_ = false;
};

Outcome run(const Invocation& invocation);

std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);

/// A folder that goes away.
class TemporaryFolder {
 public:
  /// In memory where possible, for synchronizing costs nothing there; on the disk if `disk`.
  explicit TemporaryFolder(bool disk = false);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace evenkeel::testing
