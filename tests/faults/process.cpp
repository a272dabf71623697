#include "faults/process.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" char** environ;

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

/// The library under a name without the blanks and colons at which the loader splits the list.
const std::string& preloaded_library() {
  struct Link {
    std::string name = EVENKEEL_FAULTY_IO;
    bool made = false;

    Link() {
      if (name.find_first_of(" :") == std::string::npos) return;
      const fs::path link =
          fs::temp_directory_path() / fmt::format("evenkeel-faulty-io-{}.so", ::getpid());
      fs::remove(link);
      fs::create_symlink(name, link);
      name = link.string();
      made = true;
    }
    ~Link() {
      std::error_code ignored;
      if (made) fs::remove(name, ignored);
    }
  };
  static const Link link;
  return link.name;
}

std::map<std::string, std::string> environment_of(const Invocation& invocation) {
  std::map<std::string, std::string> all;
  if (!invocation.bare) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string text = *entry;
      const std::size_t at = text.find('=');
      if (at != std::string::npos) all[text.substr(0, at)] = text.substr(at + 1);
    }
  }
  for (const auto& [name, value] : invocation.environment) all[name] = value;
  if (!invocation.faults.empty() || !invocation.record.empty()) {
    all["LD_PRELOAD"] = preloaded_library();
    all["EVENKEEL_FAULT"] = invocation.faults;
    all["EVENKEEL_FAULT_FOLDER"] = invocation.watched.string();
    if (!invocation.record.empty()) all["EVENKEEL_FAULT_RECORD"] = invocation.record.string();
    // AddressSanitizer wants to be the first library; the faulty one calls nothing of its own.
    std::string& options = all["ASAN_OPTIONS"];
    options += (options.empty() ? "" : ":") + std::string("verify_asan_link_order=0");
  }
  return all;
}

void redirect(const fs::path& path, int descriptor) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || ::dup2(file, descriptor) < 0) ::_exit(126);
  ::close(file);
}

}  // namespace

std::string Outcome::str() const {
  return fmt::format("{} {}\n--- output\n{}--- errors\n{}",
                     signal != 0 ? "ended by signal" : "gave", signal != 0 ? signal : code, out,
                     err);
}

Process::Process(const Invocation& invocation) {
  static int counter = 0;
  const fs::path base =
      fs::temp_directory_path() / fmt::format("evenkeel-faults-{}-{}", ::getpid(), counter++);
  keep_out_ = !invocation.out.empty();
  keep_err_ = !invocation.err.empty();
  out_ = keep_out_ ? invocation.out : fs::path(base.string() + ".out");
  err_ = keep_err_ ? invocation.err : fs::path(base.string() + ".err");

  std::vector<std::string> words = invocation.arguments;
  words.insert(words.begin(), invocation.program.empty() ? std::string(EVENKEEL_COMMAND)
                                                         : invocation.program.string());
  std::vector<std::string> settings;
  for (const auto& [name, value] : environment_of(invocation)) {
    settings.push_back(fmt::format("{}={}", name, value));
  }
  std::vector<char*> argv, envp;
  for (std::string& word : words) argv.push_back(word.data());
  for (std::string& setting : settings) envp.push_back(setting.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  child_ = ::fork();
  if (child_ != 0) return;
  redirect(out_, STDOUT_FILENO);
  redirect(err_, STDERR_FILENO);
  if (invocation.prepare) invocation.prepare();
  ::execve(argv[0], argv.data(), envp.data());
  ::_exit(127);
}

Process::~Process() {
  if (child_ > 0) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  std::error_code ignored;
  if (!keep_out_) fs::remove(out_, ignored);
  if (!keep_err_) fs::remove(err_, ignored);
}

void Process::send(int signal) const { ::kill(child_, signal); }

bool Process::running() const {
  siginfo_t info{};
  const bool known =
      ::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  return known && info.si_pid == 0;
}

Outcome Process::wait() {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(5);
  while (running()) {
    if (std::chrono::steady_clock::now() > limit) {
      ADD_FAILURE() << "the command hangs";
      send(SIGKILL);
      break;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  int status = 0;
  ::waitpid(child_, &status, 0);
  child_ = -1;
  Outcome outcome;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (!keep_out_) outcome.out = read_text(out_);
  if (!keep_err_) outcome.err = read_text(err_);
  return outcome;
}

Outcome run(const Invocation& invocation) { return Process(invocation).wait(); }

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TemporaryFolder::TemporaryFolder(bool disk) {
  const fs::path memory = "/dev/shm";
  const bool writable = ::access(memory.c_str(), W_OK | X_OK) == 0;
  const fs::path base = disk || !writable ? fs::temp_directory_path() : memory;
  std::string name = (base / "evenkeel-faults-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot create " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace evenkeel::testing
