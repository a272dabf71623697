#include "plan.h"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace evenkeel::faults {
namespace {

[[noreturn]] void give_up(const std::string& text) {
  const std::string line = "faulty_io: " + text + "\n";
  ::syscall(SYS_write, 2, line.data(), line.size());
  ::syscall(SYS_exit_group, 99);
  ::abort();
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

int number_of(const std::string& word) {
  static const std::map<std::string, int> words{
      {"ENOSPC", ENOSPC}, {"EIO", EIO},     {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
      {"EACCES", EACCES}, {"EFBIG", EFBIG}, {"EINTR", EINTR},   {"EINVAL", EINVAL},
      {"EMFILE", EMFILE}, {"INT", SIGINT},  {"TERM", SIGTERM},  {"HUP", SIGHUP}};
  const auto at = words.find(word);
  if (at == words.end()) give_up("unknown word " + word);
  return at->second;
}

Fault parse_fault(const std::string& text) {
  static const std::map<std::string, Action> actions{{"kill", Action::kill},
                                                     {"cut", Action::cut},
                                                     {"fail", Action::fail},
                                                     {"short", Action::shorten},
                                                     {"signal", Action::signal}};
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() < 3 || actions.count(parts[0]) == 0) give_up("cannot read " + text);
  Fault fault;
  fault.action = actions.at(parts[0]);
  while (fault.kind < kKinds.size() && parts[1] != kKinds[fault.kind]) ++fault.kind;
  if (fault.kind == kKinds.size()) give_up("unknown kind " + parts[1]);
  const bool all = parts[2] == "*";
  fault.first = all ? 1 : std::strtoul(parts[2].c_str(), nullptr, 10);
  fault.last = all || parts[2].back() == '+' ? ~0UL : fault.first;
  if (fault.first == 0) give_up("no range in " + text);
  if (parts.size() > 3) fault.word = number_of(parts[3]);
  return fault;
}

}  // namespace

Plan::Plan() {
  if (const char* folder = std::getenv("EVENKEEL_FAULT_FOLDER")) folder_ = folder;
  if (const char* faults = std::getenv("EVENKEEL_FAULT"); faults != nullptr && *faults != '\0') {
    for (const std::string& text : split(faults, ',')) faults_.push_back(parse_fault(text));
  }
  if (const char* file = std::getenv("EVENKEEL_FAULT_RECORD")) {
    const long low =
        ::syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (low < 0) give_up(std::string("cannot write ") + file);
    record_ = ::fcntl(static_cast<int>(low), F_DUPFD_CLOEXEC, 200);  // out of the program's way
    ::syscall(SYS_close, low);
  }
}

Plan& Plan::get() {
  static Plan* const plan = new Plan;  // never destroyed: calls come until the very end
  return *plan;
}

bool Plan::watches(const std::string& path) const {
  return !folder_.empty() && path.compare(0, folder_.size(), folder_) == 0 &&
         (path.size() == folder_.size() || path[folder_.size()] == '/');
}

const Fault* Plan::count(std::size_t kind, Numbers& numbers) {
  const Fault* chosen = nullptr;
  bool stop = false;
  int signal = 0;
  {
    const std::scoped_lock lock(mutex_);
    numbers[0] = ++counts_[any];
    numbers[1] = ++counts_[kind];
    for (const Fault& fault : faults_) {
      if (fault.kind != any && fault.kind != kind) continue;
      const unsigned long number = fault.kind == any ? numbers[0] : numbers[1];
      if (number < fault.first || number > fault.last) continue;
      const bool cut = fault.action == Action::cut;
      if (fault.action == Action::signal) {
        signal = fault.word;
      } else if (fault.action == Action::kill || (cut && kind != write_data)) {
        stop = true;
      } else {
        chosen = &fault;
      }
    }
  }
  if (stop) die();
  if (signal != 0) send(signal);
  return chosen;
}

void Plan::note(std::size_t kind, const Numbers& numbers, long result, const std::string& path,
                const std::string& other) const {
  if (record_ < 0) return;
  const std::string line = std::to_string(numbers[0]) + '\t' + kKinds[kind] + '\t' +
                           std::to_string(numbers[1]) + '\t' + std::to_string(result) + '\t' +
                           path + '\t' + other + '\n';
  ::syscall(SYS_write, record_, line.data(), line.size());
}

void Plan::die() {
  ::syscall(SYS_kill, ::getpid(), SIGKILL);
  for (;;) ::pause();
}

/// Another thread may take it: waits until it has, and gives it the time to handle it.
void Plan::send(int signal) {
  ::syscall(SYS_kill, ::getpid(), signal);
  const timespec moment{0, 10'000'000};
  for (int i = 0; i < 1000; ++i) {
    sigset_t pending;
    ::nanosleep(&moment, nullptr);
    if (::sigpending(&pending) != 0 || ::sigismember(&pending, signal) == 0) break;
  }
  ::nanosleep(&moment, nullptr);
}

void Plan::opened(int descriptor, const std::string& path, bool folder) {
  const std::scoped_lock lock(mutex_);
  open_[descriptor] = {path, folder};
}

void Plan::forget(int descriptor) {
  const std::scoped_lock lock(mutex_);
  open_.erase(descriptor);
}

bool Plan::find(int descriptor, Opened& opened) const {
  const std::scoped_lock lock(mutex_);
  const auto at = open_.find(descriptor);
  if (at == open_.end()) return false;
  opened = at->second;
  return true;
}

}  // namespace evenkeel::faults
