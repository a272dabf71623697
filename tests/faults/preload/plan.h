// What shall go wrong, as the environment says it, and what was counted so far.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace evenkeel::faults {

enum Kind : std::size_t {
  any,
  open_file,
  write_data,
  sync_file,
  sync_folder,
  rename_file,
  unlink_file,
  truncate_file,
  close_file,
  make_folder
};
inline constexpr std::array<const char*, 10> kKinds{
    "any", "open", "write", "fsync", "fsyncdir", "rename", "unlink", "truncate", "close", "mkdir"};

enum class Action { kill, cut, fail, shorten, signal };

struct Fault {
  Action action = Action::fail;
  std::size_t kind = any;
  unsigned long first = 0, last = 0;
  int word = 0;  ///< errno or signal
};

/// The file or folder behind a descriptor.
struct Opened {
  std::string path;
  bool folder = false;
};

/// The number of a call among all and among those of its kind.
using Numbers = unsigned long[2];

class Plan {
 public:
  /// Of this process; made by the first call that asks for it.
  static Plan& get();

  bool watches(const std::string& path) const;
  /// Counts a call and returns what shall become of it: nothing, fail, shorten or cut, of which
  /// the caller has half to do before die(). Other kills and signals are done here.
  const Fault* count(std::size_t kind, Numbers& numbers);
  void note(std::size_t kind, const Numbers& numbers, long result, const std::string& path,
            const std::string& other) const;
  [[noreturn]] static void die();

  void opened(int descriptor, const std::string& path, bool folder);
  void forget(int descriptor);
  bool find(int descriptor, Opened& opened) const;

 private:
  Plan();
  static void send(int signal);

  std::string folder_;
  std::vector<Fault> faults_;
  int record_ = -1;
  mutable std::mutex mutex_;  // of the two below
  std::array<unsigned long, kKinds.size()> counts_{};
  std::map<int, Opened> open_;
};

}  // namespace evenkeel::faults
