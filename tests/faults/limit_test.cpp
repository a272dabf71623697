// Disks that are full, limits on file sizes, folders that cannot be written: the real ones.

#include <csignal>
#include <cstring>

#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults/tiny_run.h"

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

/// A small file system in memory, seen by this process and its children alone. It goes with the
/// process if not before.
class SmallDisk {
 public:
  SmallDisk(const fs::path& at, const std::string& size) : at_(at) {
    fs::create_directories(at);
    if (::unshare(CLONE_NEWNS) != 0) return;
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
    const std::string options = "size=" + size;
    mounted_ = ::mount("evenkeel", at.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  bool change(unsigned long flags, const std::string& options) {
    return ::mount("evenkeel", at_.c_str(), "tmpfs", MS_REMOUNT | flags, options.c_str()) == 0;
  }

 private:
  fs::path at_;
  bool mounted_ = false;
};

constexpr const char* kNoMount = "mounting a file system needs more rights than this process has";

/// In the new process, before the command.
void limit_files_to(rlim_t bytes) {
  const rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(125);
}

TEST(FileSizeLimit, IsReportedAndDoesNotKill) {
  for (const bool ignored : {false, true}) {
    const TemporaryFolder folder;
    const TinyRun run(folder / "run", 7);
    Invocation invocation = run.begin();
    // A checkpoint is larger; configuration, weights and what is said are not.
    invocation.prepare = [ignored] {
      ::signal(SIGXFSZ, ignored ? SIG_IGN : SIG_DFL);
      limit_files_to(3000);
    };
    const Outcome outcome = testing::run(invocation);
    EXPECT_EQ(outcome.code, 1) << outcome.str();
    EXPECT_TRUE(contains(outcome.err, run.checkpoint(14).string()));
    EXPECT_TRUE(contains(outcome.err, "File too large; raise the limit on file sizes"));
    EXPECT_TRUE(run.steps().empty());
    EXPECT_TRUE(temporaries_in(run.folder()).empty());
    EXPECT_EQ(testing::run(run.resume()).code, 0);
    EXPECT_TRUE(same_results(run));
    EXPECT_TRUE(same_checkpoint(run, TinyRun::kSteps));
  }
}

TEST(FileSizeLimit, ThatHitsTheWeightsIsAnError) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  Invocation invocation = run.begin();
  for (const char* flag : {"--checkpoint-steps", "--checkpoint-every"}) {
    invocation.arguments.insert(invocation.arguments.end(), {flag, "0"});
  }
  invocation.prepare = [] { limit_files_to(1500); };
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 1) << outcome.str();
  ASSERT_TRUE(contains(outcome.err, "\nevenkeel: "));
  const std::string error = outcome.err.substr(outcome.err.rfind("\nevenkeel: "));
  EXPECT_TRUE(contains(error, (run.folder() / "final.safetensors").string()));
  EXPECT_TRUE(contains(error, "File too large"));
  EXPECT_FALSE(fs::exists(run.folder() / "final.safetensors"));
  EXPECT_TRUE(temporaries_in(run.folder()).empty());
}

TEST(FullDisk, KeepsTheOldCheckpointsAndTheRunGoesOnWhenThereIsSpace) {
  const TemporaryFolder folder;
  SmallDisk disk(folder / "disk", "64k");
  if (!disk.mounted()) GTEST_SKIP() << kNoMount;
  const TinyRun run(folder / "disk/run");
  Invocation invocation = run.begin();
  invocation.arguments.insert(invocation.arguments.end(), {"--epochs", "60"});
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 1) << outcome.str();
  EXPECT_TRUE(contains(outcome.err, "No space left on device; free some space"));
  EXPECT_TRUE(temporaries_in(run.folder()).empty());
  ASSERT_GE(run.steps().size(), 2U);
  ASSERT_TRUE(disk.change(0, "size=64m"));
  const Outcome resumed = testing::run(run.resume());
  EXPECT_EQ(resumed.code, 0) << resumed.str();
  EXPECT_TRUE(resumed_step(resumed));
  // The same run on a disk without end.
  const TinyRun other(folder / "other", 100);
  invocation = other.begin();
  invocation.arguments.insert(invocation.arguments.end(), {"--epochs", "60"});
  ASSERT_EQ(testing::run(invocation).code, 0);
  EXPECT_EQ(read_text(run.folder() / "final.safetensors"),
            read_text(other.folder() / "final.safetensors"));
}

TEST(FullDisk, IsNoticedBeforeTraining) {
  const TemporaryFolder folder;
  SmallDisk disk(folder / "disk", "16k");
  if (!disk.mounted()) GTEST_SKIP() << kNoMount;
  write_text(folder / "disk/filler", std::string(16 * 1024, 'x'));
  const TinyRun run(folder / "disk/run");
  const Outcome outcome = testing::run(run.begin());
  EXPECT_EQ(outcome.code, 1) << outcome.str();
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, "No space left on device"));
}

TEST(ReadOnly, FolderIsRefusedBeforeTraining) {
  const TemporaryFolder folder;
  SmallDisk disk(folder / "disk", "4m");
  if (!disk.mounted()) GTEST_SKIP() << kNoMount;
  const TinyRun run(folder / "disk/run");
  Invocation half = run.begin();
  half.faults = "kill:rename:9";
  ASSERT_EQ(testing::run(half).signal, SIGKILL);
  ASSERT_TRUE(disk.change(MS_RDONLY, ""));
  for (const Invocation& invocation : {run.resume(), TinyRun(folder / "disk/new").begin()}) {
    const Outcome outcome = testing::run(invocation);
    EXPECT_EQ(outcome.code, 1) << outcome.str();
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(contains(outcome.err, "Read-only file system; choose a folder that you may write"));
    EXPECT_TRUE(contains(outcome.err, (folder / "disk").string()));
  }
  ASSERT_TRUE(disk.change(0, ""));
  EXPECT_EQ(testing::run(run.resume()).code, 0);
  EXPECT_TRUE(ended_like_whole(run));
}

TEST(ReadOnly, FolderOfSomeoneElseIsRefusedBeforeTraining) {
  const TemporaryFolder folder(/*disk=*/true);
  fs::create_directory(folder / "locked");
  ::chmod(folder.path().c_str(), 0755);
  ::chmod((folder / "locked").c_str(), 0555);
  Invocation invocation = TinyRun(folder / "locked/run").begin();
  invocation.arguments[1] = "--seed=1";
  invocation.arguments[3] = "glyphs:train=32,test=8";
  // Rights do not stop the superuser, unless it gives up that privilege; as somebody else it might
  // not get at the program.
  invocation.prepare = [] {
    if (::geteuid() != 0 || ::prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0) return;
    if (::setuid(65534) != 0) ::_exit(125);
  };
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 1) << outcome.str();
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, "Permission denied; choose a folder that you may write to"));
}

TEST(FullDevice, AsMetricsIsSaidOnceAndTrainingGoesOn) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  fs::create_directory(run.folder());
  fs::create_symlink("/dev/full", run.folder() / "metrics.jsonl");
  const Outcome outcome = testing::run(run.begin());
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_TRUE(contains(outcome.err, (run.folder() / "metrics.jsonl").string()));
  EXPECT_EQ(outcome.err.find("warning: "), outcome.err.rfind("warning: ")) << outcome.err;
  EXPECT_TRUE(same_results(run));
}

TEST(FullDevice, AsStandardOutputIsAnErrorAfterTheRun) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  Invocation invocation = run.begin();
  invocation.out = "/dev/full";
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_TRUE(contains(outcome.err, "standard output cannot be written"));
  EXPECT_TRUE(ended_like_whole(run));
}

TEST(FullDevice, AsStandardErrorDoesNotEndTheRun) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  Invocation invocation = run.begin();
  invocation.err = "/dev/full";
  invocation.watched = run.checkpoints();
  invocation.faults = "fail:rename:3:EIO";  // something to warn of
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_TRUE(ended_like_whole(run));
}

}  // namespace
}  // namespace evenkeel::testing
