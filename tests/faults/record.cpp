#include "faults/record.h"

#include <algorithm>
#include <fstream>

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

std::string next_field(std::string& line) {
  const std::size_t end = std::min(line.find('\t'), line.size());
  std::string field = line.substr(0, end);
  line.erase(0, std::min(end + 1, line.size()));
  return field;
}

}  // namespace

std::vector<Call> read_record(const fs::path& path) {
  std::vector<Call> calls;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    Call call;
    call.number = std::stoll(next_field(line));
    call.kind = next_field(line);
    call.number_of_kind = std::stoll(next_field(line));
    call.result = std::stoll(next_field(line));
    call.path = next_field(line);
    call.other = next_field(line);
    calls.push_back(std::move(call));
  }
  return calls;
}

std::vector<Call> calls_of(const TinyRun& run) {
  const TemporaryFolder folder;
  Invocation invocation = run.begin();
  invocation.record = folder / "record";
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_TRUE(same_results(run));
  fs::remove_all(run.folder());
  return read_record(invocation.record);
}

std::optional<Save> save_of(const std::vector<Call>& calls, const fs::path& target) {
  const auto rename = std::ranges::find_if(
      calls, [&](const Call& call) { return call.kind == "rename" && call.other == target; });
  if (rename == calls.end()) return std::nullopt;
  const auto open = std::ranges::find_if(
      calls, [&](const Call& call) { return call.kind == "open" && call.path == rename->path; });
  const auto sync = std::find_if(rename, calls.end(), [&](const Call& call) {
    return call.kind == "fsyncdir" && call.path == target.parent_path();
  });
  if (open == calls.end() || sync == calls.end()) return std::nullopt;
  return Save{static_cast<std::size_t>(open - calls.begin()),
              static_cast<std::size_t>(sync - calls.begin())};
}

std::optional<std::int64_t> saved_step(const std::vector<Call>& calls) {
  std::optional<std::int64_t> renamed, saved;
  for (const Call& call : calls) {
    if (!call.ok()) continue;
    const std::string name = call.other.filename().string();
    if (call.kind == "rename" && name.rfind("step-", 0) == 0) renamed = std::stoll(name.substr(5));
    if (call.kind == "fsyncdir" && call.path.filename() == "checkpoints") saved = renamed;
  }
  return saved;
}

}  // namespace evenkeel::testing
