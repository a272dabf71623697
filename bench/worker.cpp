#include "worker.h"

#include <array>
#include <cstdlib>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <evenkeel/core/error.h>
#include <evenkeel/io/npy.h>

namespace evenkeel::bench {
namespace {

/// Lines end with the newline that getline keeps.
std::string read_line(std::FILE* file) {
  char* line = nullptr;
  std::size_t capacity = 0;
  const ssize_t length = ::getline(&line, &capacity, file);
  std::string result(line == nullptr || length < 0 ? "" : line);
  std::free(line);
  return result;
}

std::vector<double> numbers(const Json& answer, const char* key) {
  const auto found = answer.find(key);
  return found == answer.end() ? std::vector<double>() : found->get<std::vector<double>>();
}

Actual actual_of(const Json& answer) {
  return {numbers(answer, "output"), numbers(answer, "sum_gradient"), numbers(answer, "dgamma"),
          numbers(answer, "dbeta"),  numbers(answer, "mean"),         numbers(answer, "var")};
}

}  // namespace

Worker::Worker(const std::vector<std::string>& command) : name_(command.front()) {
  std::array<int, 2> down{}, up{};
  // Closed on exec: a worker that held the ends of another would keep it alive.
  if (::pipe2(down.data(), O_CLOEXEC) != 0 || ::pipe2(up.data(), O_CLOEXEC) != 0) {
    fail<Error>("[bench] no pipes are left");
  }
  std::vector<std::string> words = command;
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  process_ = ::fork();
  if (process_ < 0) fail<Error>("[bench] {} cannot be started", name_);
  if (process_ == 0) {
    ::dup2(down[0], STDIN_FILENO);
    ::dup2(up[1], STDOUT_FILENO);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(down[0]);
  ::close(up[1]);
  to_ = ::fdopen(down[1], "w");
  from_ = ::fdopen(up[0], "r");
  peers_ = ask({{"do", "hello"}}).at("peers").get<std::vector<std::string>>();
}

Worker::~Worker() {
  if (to_ != nullptr) std::fclose(to_);
  if (from_ != nullptr) std::fclose(from_);
  if (process_ > 0) ::waitpid(process_, nullptr, 0);
}

Json Worker::ask(const Json& request) {
  const std::string line = request.dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), to_) != line.size() || std::fflush(to_) != 0) {
    fail<Error>("[bench] the worker {} has ended", name_);
  }
  const std::string text = read_line(from_);
  if (text.empty()) fail<Error>("[bench] the worker {} has ended", name_);
  Json answer = Json::parse(text);
  if (answer.contains("error")) {
    fail<Error>("[bench] {}: {}", name_, answer["error"].get<std::string>());
  }
  return answer;
}

std::vector<Candidate> Worker::candidates(const Json& answer) {
  std::vector<Candidate> result;
  for (const Json& row : answer.at("candidates")) {
    Candidate candidate;
    candidate.who = row.at("who").get<std::string>();
    candidate.version = row.at("version").get<std::string>();
    candidate.how = row.at("how").get<std::string>();
    candidate.note = row.at("note").get<std::string>();
    candidate.layout = row.at("layout").get<std::string>() == "channels_last"
                           ? Layout::channels_last
                           : Layout::channels_first;
    candidate.seconds = [this, key = row.at("key")](std::int64_t calls, int repeats) {
      return ask({{"do", "time"}, {"key", key}, {"calls", calls}, {"repeats", repeats}})
          .at("seconds")
          .get<std::vector<double>>();
    };
    candidate.read = [this, key = row.at("key")](const Expected& expected) {
      return actual_of(ask({{"do", "read"},
                            {"key", key},
                            {"places", expected.places},
                            {"parameters", expected.parameters}}));
    };
    result.push_back(std::move(candidate));
  }
  return result;
}

std::vector<Candidate> Worker::candidates_for(const Work& work) {
  return candidates(ask({{"do", "work"},
                         {"family", name_of(work.family)},
                         {"operation", name_of(work.operation)},
                         {"relu", work.relu},
                         {"add", work.add},
                         {"threads", work.threads}}));
}

ProblemFolder::ProblemFolder() {
  // In memory where that is possible: these are files for a moment.
  const std::filesystem::path memory = "/dev/shm";
  const auto parent =
      std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
  std::string pattern = (parent / "evenkeel-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) fail<IoError>("{}: cannot be made", pattern);
  path_ = pattern;
}

ProblemFolder::~ProblemFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void ProblemFolder::send(const Problem& problem,
                         std::vector<std::unique_ptr<Worker>>& workers) const {
  if (workers.empty()) return;
  io::write_npy(path_ / "x.npy", problem.x(Layout::channels_first));
  io::write_npy(path_ / "dy.npy", problem.dy(Layout::channels_first));
  io::write_npy(path_ / "add.npy", problem.add(Layout::channels_first));
  const auto write = [&](const char* name, const std::vector<float>& values) {
    io::write_npy(path_ / name, Tensor::from(std::span<const float>(values), {problem.size().c}));
  };
  write("gamma.npy", problem.gamma);
  write("beta.npy", problem.beta);
  write("mean.npy", problem.running_mean);
  write("var.npy", problem.running_var);
  const ProblemSize& size = problem.size();
  for (auto& worker : workers) {
    worker->ask({{"do", "data"},
                 {"folder", path_.string()},
                 {"n", size.n},
                 {"c", size.c},
                 {"h", size.h},
                 {"w", size.w},
                 {"groups", size.groups}});
  }
}

}  // namespace evenkeel::bench
