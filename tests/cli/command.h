// Running the command as people run it.
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

namespace evenkeel::testing {

struct Outcome {
  int code = -1;  ///< of the process; 128 + n where a signal n ended it
  std::string out, err;
};

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A test with a folder of its own, whose name holds spaces, in which the command runs.
class CommandLine : public ::testing::Test {
 protected:
  CommandLine() {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("evenkeel cli {}", ::getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    out_ = folder_ / ".out";
    err_ = folder_ / ".err";
  }
  ~CommandLine() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  const std::filesystem::path& folder() const { return folder_; }

  /// Runs `evenkeel arguments...`; with `output`, standard output goes there.
  Outcome run(const std::vector<std::string>& arguments, const std::string& output = "") {
    return finish(start(arguments, output), output);
  }

  /// The same, sent SIGINT once something lies in `sign`.
  Outcome run_interrupted(const std::vector<std::string>& arguments,
                          const std::filesystem::path& sign) {
    const pid_t child = start(arguments, "");
    std::error_code ignored;
    for (int i = 0; i < 3000; ++i) {
      if (std::filesystem::exists(sign, ignored) && !std::filesystem::is_empty(sign, ignored))
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ::kill(child, SIGINT);
    return finish(child, "");
  }

  /// The same, killed (SIGKILL) after so long, if it has not ended by then.
  Outcome run_killed(const std::vector<std::string>& arguments, std::chrono::milliseconds after) {
    const pid_t child = start(arguments, "");
    std::this_thread::sleep_for(after);
    ::kill(child, SIGKILL);
    return finish(child, "");
  }

  /// A small trained network in "a run".
  void train_small(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{
        "train", "--data", "glyphs:train=320,test=100", "--epochs", "1", "--out", "a run"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }

  /// The mistake gives one line on standard error that holds each of `parts`, and nothing else.
  void expect_fault(const std::vector<std::string>& arguments, int code,
                    const std::vector<std::string>& parts) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.rfind("evenkeel: ", 0), 0U) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts) {
      EXPECT_NE(outcome.err.find(part), std::string::npos) << part << " is not in " << outcome.err;
    }
  }

  nlohmann::json run_json(const std::vector<std::string>& arguments) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out);
  }

 private:
  pid_t start(std::vector<std::string> arguments, const std::string& output) {
    const std::string out_path = output.empty() ? out_.string() : output;
    arguments.insert(arguments.begin(), EVENKEEL_COMMAND);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      const int out_file = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      const int err_file = ::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(out_file, STDOUT_FILENO);
      ::dup2(err_file, STDERR_FILENO);
      if (::chdir(folder_.c_str()) == 0) ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    return child;
  }

  Outcome finish(pid_t child, const std::string& output) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    Outcome outcome;
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (output.empty()) outcome.out = read_text(out_);
    outcome.err = read_text(err_);
    return outcome;
  }

  std::filesystem::path folder_, out_, err_;
};

}  // namespace evenkeel::testing
