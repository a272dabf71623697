// Runs targets on their seeds, on files, and on mutations of both: the fuzz targets without
// libFuzzer.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>

#include "mutator.h"
#include "support.h"

namespace evenkeel::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUsage =
    "usage: fuzz_replay [--mutations N] [--write-seeds DIR] READER [FILE or FOLDER]...\n"
    "Runs the reader's seeds and the files, and N mutations of each (default 0).\n"
    "--write-seeds writes the seeds into DIR and reads nothing.\n";

struct Arguments {
  std::uint32_t mutations = 0;
  std::string seeds;
  const Target* target = nullptr;
  std::vector<fs::path> files;
};

void add_files(const fs::path& path, std::vector<fs::path>& files) {
  if (!fs::is_directory(path)) return files.push_back(path);
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
}

bool parse(int count, char** words, Arguments& arguments) {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    const std::string_view next = i + 1 < count ? words[i + 1] : "";
    if (word == "--mutations") {
      const auto [stop, error] =
          std::from_chars(next.data(), next.data() + next.size(), arguments.mutations);
      if (error != std::errc() || stop != next.data() + next.size()) return false;
      ++i;
    } else if (word == "--write-seeds") {
      arguments.seeds = next;
      ++i;
    } else if (arguments.target == nullptr) {
      arguments.target = find_target(word);
      if (arguments.target == nullptr) return false;
    } else {
      add_files(word, arguments.files);
    }
  }
  std::ranges::sort(arguments.files);
  return arguments.target != nullptr;
}

/// What was wrong with one input, or nothing.
std::string fault_of(const Target& target, const std::string& bytes) {
  try {
    target.read(bytes);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

class Replay {
 public:
  explicit Replay(const Target& target) : target_(target) {}

  void run(const std::string& name, const std::string& bytes) {
    ++inputs_;
    const std::string fault = fault_of(target_, bytes);
    if (fault.empty()) return;
    ++faults_;
    const fs::path kept = fs::current_path() / fmt::format("fault-{}-{}", target_.reader, faults_);
    write_bytes(kept, bytes);
    fmt::print(stderr, "{}: {}: {}\n  the input is in {}\n", target_.reader, name, fault,
               kept.string());
  }
  void run_mutations(const std::string& name, const std::string& bytes, std::uint32_t count) {
    Mutator mutator(static_cast<std::uint32_t>(bytes.size()));
    for (std::uint32_t i = 0; i < count; ++i) {
      run(fmt::format("{}, mutation {}", name, i), mutator.mutate(target_, bytes));
    }
  }
  int report() const {
    fmt::print("{}: {} inputs, {} faults\n", target_.reader, inputs_, faults_);
    return faults_ == 0 ? 0 : 1;
  }

 private:
  const Target& target_;
  std::uint64_t inputs_ = 0;
  std::uint64_t faults_ = 0;
};

int run(const Arguments& arguments) {
  std::vector<Seed> inputs = arguments.target->seeds();
  if (!arguments.seeds.empty()) {
    fs::create_directories(arguments.seeds);
    for (const Seed& seed : inputs) write_bytes(fs::path(arguments.seeds) / seed.name, seed.bytes);
    return 0;
  }
  for (const fs::path& path : arguments.files) {
    inputs.push_back({path.filename().string(), read_bytes(path)});
  }
  Replay replay(*arguments.target);
  for (const Seed& input : inputs) {
    replay.run(input.name, input.bytes);
    replay.run_mutations(input.name, input.bytes, arguments.mutations);
  }
  return replay.report();
}

}  // namespace
}  // namespace evenkeel::fuzz

int main(int count, char** words) {
  evenkeel::fuzz::Arguments arguments;
  if (!evenkeel::fuzz::parse(count, words, arguments)) {
    std::fputs(evenkeel::fuzz::kUsage, stderr);
    return 2;
  }
  return evenkeel::fuzz::run(arguments);
}
