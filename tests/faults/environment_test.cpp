// Locale, umask, odd paths, no home, no terminal, no standard streams: files and output are as
// ever.

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults/tiny_run.h"

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

void expect_plain(const std::string& text) {
  EXPECT_EQ(text.find('\r'), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
}

/// The run, interrupted by a kill and resumed, under the same conditions as `change` makes.
void expect_as_ever(const TinyRun& run, const std::function<void(Invocation&)>& change) {
  Invocation first = run.begin();
  first.faults = "kill:rename:12";
  change(first);
  const Outcome killed = testing::run(first);
  ASSERT_EQ(killed.signal, SIGKILL) << killed.str();
  Invocation second = run.resume();
  change(second);
  const Outcome outcome = testing::run(second);
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(resumed_step(outcome));
  expect_plain(outcome.out);
  EXPECT_TRUE(ended_like_whole(run));
}

TEST(Environment, WithoutHomeOrAnythingElse) {
  const TemporaryFolder folder;
  expect_as_ever(TinyRun(folder / "run"), [](Invocation& invocation) { invocation.bare = true; });
}

TEST(Environment, AnyTerminalTypeIsTheSameWithoutATerminal) {
  for (const char* type : {"dumb", "xterm-256color", "", "no such terminal"}) {
    const TemporaryFolder folder;
    expect_as_ever(TinyRun(folder / "run"),
                   [&](Invocation& invocation) { invocation.environment["TERM"] = type; });
  }
}

TEST(Environment, UnknownLocalesAreNoMatter) {
  for (const char* name : {"C", "C.UTF-8", "de_DE.UTF-8", "tr_TR", "nowhere"}) {
    const TemporaryFolder folder;
    expect_as_ever(TinyRun(folder / "run"), [&](Invocation& invocation) {
      invocation.environment["LC_ALL"] = name;
      invocation.environment["LANG"] = name;
    });
  }
}

TEST(Environment, UmaskIsRespected) {
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{027}, mode_t{077}}) {
    const TemporaryFolder folder;
    const TinyRun run(folder / "above/run");
    Invocation invocation = run.begin();
    invocation.prepare = [mask] { ::umask(mask); };
    const Outcome outcome = testing::run(invocation);
    ASSERT_EQ(outcome.code, 0) << outcome.str();
    int files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder / "above")) {
      const auto mode = static_cast<mode_t>(entry.status().permissions());
      const mode_t wanted = entry.is_directory() ? 0777 : 0666;
      EXPECT_EQ(mode & 0777U, wanted & ~mask) << entry.path();
      ++files;
    }
    EXPECT_GE(files, 9);
  }
}

class OddPath : public ::testing::TestWithParam<const char*> {};

TEST_P(OddPath, IsAFolderLikeAnyOther) {
  const TemporaryFolder folder;
  const TinyRun run(folder / GetParam());
  fs::create_directories(run.folder().parent_path());
  expect_as_ever(run, [](Invocation&) {});
  Invocation again = run.begin();
  again.arguments = {"eval", run.folder().string(), "--json"};
  const Outcome evaluated = testing::run(again);
  ASSERT_EQ(evaluated.code, 0) << evaluated.str();
  EXPECT_EQ(nlohmann::json::parse(evaluated.out)["run"], run.folder().string());
}

/// What the run says that one can type next is right in a shell.
TEST_P(OddPath, CanBeTypedAsShown) {
  const TemporaryFolder folder;
  const TinyRun run(folder / GetParam());
  const Outcome outcome = testing::run(run.begin());
  ASSERT_EQ(outcome.code, 0) << outcome.str();
  const std::size_t at = outcome.out.find("evenkeel eval ");
  ASSERT_NE(at, std::string::npos);
  Invocation shell;
  shell.program = "/bin/sh";
  shell.arguments = {"-c", "evenkeel() { shift; printf '%s' \"$1\"; }; " + outcome.out.substr(at)};
  EXPECT_EQ(testing::run(shell).out, run.folder().string());
}

INSTANTIATE_TEST_SUITE_P(Names, OddPath,
                         ::testing::Values("a run", "größe 尺寸 🙂", "it's \"quoted\"",
                                           "two\nlines", "tab\tand \\ back", "--resume",
                                           "$HOME `id` $(id) ; & | * ? [x] {y}", "-", "#1", "~",
                                           "=", "!x"),
                         [](const auto& row) {
                           std::string name;
                           for (const char* c = row.param; *c != '\0'; ++c) {
                             name += fmt::format("{:02x}", static_cast<unsigned char>(*c));
                           }
                           return name.substr(0, 40);
                         });

/// Configuration files are UTF-8. Refused before training, or a run like any other.
TEST(Environment, APathThatIsNoTextIsRefusedBeforeTrainingOrWorks) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "caf\xe9");
  const Outcome outcome = testing::run(run.begin());
  if (outcome.code == 0) {
    EXPECT_EQ(testing::run(run.resume()).code, 0);
    EXPECT_TRUE(ended_like_whole(run));
    return;
  }
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "UTF-8"));
}

/// A folder name as long as names can be, below a path of `length` bytes.
fs::path long_path(const fs::path& base, std::size_t length) {
  fs::path path = base;
  while (path.native().size() + 257 < length) path /= std::string(255, 'n');
  const std::size_t left = length - path.native().size();
  if (left > 1) path /= std::string(left - 1, 'r');
  return path;
}

TEST(LongPath, NamesOf255BytesWork) {
  const TemporaryFolder folder;
  const TinyRun run(folder / std::string(255, 'r'));
  expect_as_ever(run, [](Invocation&) {});
}

TEST(LongPath, NamesOf256BytesAreRefusedBeforeTraining) {
  const TemporaryFolder folder;
  const Outcome outcome = testing::run(TinyRun(folder / std::string(256, 'r')).begin());
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, "File name too long; choose another path"));
}

TEST(LongPath, UpToTheSystemsLimitWorksOrIsRefusedBeforeTraining) {
  int worked = 0, refused = 0;
  for (std::size_t length = PATH_MAX - 110; length < PATH_MAX + 10; length += 3) {
    const TemporaryFolder folder;
    const TinyRun run(long_path(folder.path(), length));
    ASSERT_EQ(run.folder().native().size(), length);
    const Outcome outcome = testing::run(run.begin());
    if (outcome.code == 0) {
      EXPECT_EQ(refused, 0) << "a shorter path was refused";
      EXPECT_EQ(outcome.err, "");
      EXPECT_TRUE(ended_like_whole(run));
      ++worked;
    } else {
      EXPECT_EQ(outcome.code, 1);
      EXPECT_EQ(outcome.out, "");
      EXPECT_TRUE(contains(outcome.err, "File name too long"));
      ++refused;
    }
  }
  EXPECT_GT(worked, 0);
  EXPECT_GT(refused, 0);
}

/// Of a program whose standard streams are closed, the next files that are opened take their
/// numbers; what is printed must not go there.
class ClosedStreams : public ::testing::TestWithParam<int> {};

TEST_P(ClosedStreams, DoNotMixOutputIntoFiles) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  Invocation first = run.begin();
  first.faults = "kill:rename:12,fail:rename:9:EIO";  // with a warning
  const auto close_some = [mask = GetParam()] {
    for (int stream = 0; stream < 3; ++stream) {
      if ((mask >> stream & 1) != 0) ::close(stream);
    }
  };
  first.prepare = close_some;
  const Outcome killed = testing::run(first);
  EXPECT_EQ(killed.signal, SIGKILL) << killed.str();
  Invocation second = run.resume();
  second.prepare = close_some;
  // Whether it may end with 0 where it could say nothing is another question.
  const Outcome outcome = testing::run(second);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_TRUE(ended_like_whole(run));
}

INSTANTIATE_TEST_SUITE_P(Streams, ClosedStreams, ::testing::Range(1, 8), [](const auto& row) {
  std::string name;
  for (int stream = 0; stream < 3; ++stream) {
    if ((row.param >> stream & 1) != 0) name += fmt::format("{}", stream);
  }
  return name;
});

/// The command on a terminal of this process's making; what it showed there.
std::string shown_on_terminal(const TinyRun& run, const char* type) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0) return "";
  const std::string name = ::ptsname(terminal);
  Invocation invocation = run.begin();
  if (type != nullptr) invocation.environment["TERM"] = type;
  if (type == nullptr) invocation.bare = true;
  // Slow enough for the bar to be drawn again.
  invocation.out = invocation.err = name;
  Process process(invocation);
  std::string text;
  std::array<char, 4096> some;
  ::fcntl(terminal, F_SETFL, O_NONBLOCK);
  while (process.running()) {
    const ssize_t got = ::read(terminal, some.data(), some.size());
    if (got > 0) text.append(some.data(), static_cast<std::size_t>(got));
    if (got <= 0) ::usleep(500);
  }
  EXPECT_EQ(process.wait().code, 0);
  for (ssize_t got = 0; (got = ::read(terminal, some.data(), some.size())) > 0;) {
    text.append(some.data(), static_cast<std::size_t>(got));
  }
  ::close(terminal);
  return text;
}

TEST(Terminal, ABarIsDrawnOnATerminalThatCanWipeItAway) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  const std::string text = shown_on_terminal(run, "xterm");
  if (text.empty()) GTEST_SKIP() << "no terminal can be made here";
  EXPECT_TRUE(contains(text, "\x1b[K"));
  EXPECT_TRUE(ended_like_whole(run));
}

TEST(Terminal, NoBarIsDrawnOnOneThatCannot) {
  for (const char* type : {"dumb", static_cast<const char*>(nullptr)}) {
    const TemporaryFolder folder;
    const TinyRun run(folder / "run");
    const std::string text = shown_on_terminal(run, type);
    if (text.empty()) GTEST_SKIP() << "no terminal can be made here";
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
    EXPECT_TRUE(contains(text, "test accuracy"));
    EXPECT_TRUE(ended_like_whole(run));
  }
}

}  // namespace
}  // namespace evenkeel::testing
