#include "faults/moment.h"

#include <chrono>
#include <thread>

#include "faults/tiny_run.h"

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;

}  // namespace

Lengths::Lengths(const TemporaryFolder& folder) {
  const TinyRun run(folder / "timed");
  Invocation invocation = run.begin();
  invocation.record = folder / "timed.record";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(testing::run(invocation).code, 0);
  const auto end = std::chrono::steady_clock::now();
  time = static_cast<std::uint64_t>(std::chrono::duration_cast<microseconds>(end - start).count());
  record = fs::file_size(invocation.record);
}

void wait_for_any_moment(const Process& process, const Invocation& invocation,
                         const Lengths& lengths, Random& random) {
  if (random.below(4) == 0) {
    std::this_thread::sleep_for(microseconds(random.below(lengths.time)));
    return;
  }
  const std::uint64_t recorded = random.below(lengths.record);
  std::error_code error;
  while (process.running()) {
    const auto size = fs::file_size(invocation.record, error);
    if (!error && size >= recorded) break;
    std::this_thread::sleep_for(microseconds(50));
  }
  std::this_thread::sleep_for(microseconds(random.below(1500)));
}

}  // namespace evenkeel::testing
