// Temporary files that killed writers left: they go when the folder is tried for the next run, and
// those of writers that live do not.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "faults/process.h"
#include "io/atomic_writer.h"
#include <evenkeel/io/file.h>

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

TEST(InProcessAbandoned, FilesOfKilledWritersGo) {
  const TemporaryFolder folder;
  write_text(folder / ".evenkeel-12-0-34.tmp", "half");
  write_text(folder / ".evenkeel-12-1-34.tmp", "");
  io::probe_writable(folder.path());
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(InProcessAbandoned, FilesBeingWrittenStay) {
  const TemporaryFolder folder;
  io::AtomicWriter writer(folder / "file");
  writer.write("first ");
  io::probe_writable(folder.path());
  writer.write("and second");
  io::probe_writable(folder.path());
  writer.commit();
  EXPECT_EQ(read_text(folder / "file"), "first and second");
}

TEST(InProcessAbandoned, OtherFilesStay) {
  const TemporaryFolder folder;
  for (const char* name : {".evenkeel-notes", "evenkeel.tmp", "a.tmp", ".tmp"}) {
    write_text(folder / name, "mine");
  }
  fs::create_directory(folder / ".evenkeel-folder.tmp");
  fs::create_symlink(folder / "a.tmp", folder / ".evenkeel-link.tmp");
  io::probe_writable(folder.path());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 6);
}

TEST(InProcessAbandoned, APipeOfThatNameDoesNotHangTheProbe) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / ".evenkeel-pipe.tmp").c_str(), 0600), 0);
  io::probe_writable(folder.path());
}

TEST(InProcessAbandoned, FoldersAreMadeFromWhereTheProcessIs) {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  io::probe_writable("a/b/");
  io::probe_writable("c");
  fs::current_path(before);
  EXPECT_TRUE(fs::is_directory(folder / "a/b"));
  EXPECT_TRUE(fs::is_directory(folder / "c"));
}

}  // namespace
}  // namespace evenkeel::testing
