#include <cstdlib>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

#include "io/io_testing.h"
#include <evenkeel/io/file.h>

namespace evenkeel::io {
namespace {

using testing::contains;
using testing::message_of;
using testing::TempFolder;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_gzip(const std::filesystem::path& path, std::string_view bytes) {
  gzFile out = gzopen(path.c_str(), "wb");
  ASSERT_NE(out, nullptr);
  gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(out);
}

TEST(ReadFile, gives_all_bytes) {
  const TempFolder folder;
  for (const std::string& content :
       {std::string(), std::string("a\0b", 3), std::string(200'000, 'x')}) {
    testing::write_bytes(folder / "f", content);
    EXPECT_EQ(text_of(read_file(folder / "f")), content);
    EXPECT_EQ(text_of(read_file_maybe_gzip(folder / "f")), content);
  }
}

TEST(ReadFile, refuses_what_is_no_readable_file) {
  const TempFolder folder;
  EXPECT_EQ(message_of([&] { read_file(folder / "nothing"); }),
            "[read] '" + (folder / "nothing").string() +
                "': cannot open for reading: No such file or directory; check the path and its "
                "permissions");
  EXPECT_TRUE(contains(message_of([&] { read_file(folder.path()); }), "got a folder"));
  EXPECT_TRUE(contains(message_of([&] { read_file("/dev/zero"); }), "got a device or pipe"));
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(contains(message_of([&] { read_file(pipe); }), "got a device or pipe"));
}

TEST(ReadFile, keeps_control_characters_out_of_messages) {
  EXPECT_TRUE(contains(message_of([] { read_file("/no/such\nfile\x1b[31m\xff"); }),
                       "'/no/such\\x0afile\\x1b[31m\\xff'"));
  EXPECT_TRUE(contains(message_of([] { read_file("/no/größe 尺"); }), "'/no/größe 尺'"));
}

TEST(ReadFile, holds_to_the_limit) {
  const TempFolder folder;
  testing::write_bytes(folder / "f", "12345");
  EXPECT_EQ(read_file(folder / "f", 5).size(), 5u);
  EXPECT_TRUE(
      contains(message_of([&] { read_file(folder / "f", 4); }), "expected at most 4 bytes, got 5"));
}

TEST(ReadFile, inflates_gzip_up_to_the_limit) {
  const TempFolder folder;
  const std::string content = std::string(1'000'000, '\0') + "end";
  write_gzip(folder / "f.gz", content);
  EXPECT_EQ(text_of(read_file_maybe_gzip(folder / "f.gz")), content);
  EXPECT_EQ(text_of(read_file_maybe_gzip(folder / "f.gz", content.size())), content);
  for (const std::size_t limit : {content.size() - 1, std::size_t{70'000}, std::size_t{65'536},
                                  std::size_t{65'535}, std::size_t{1}, std::size_t{0}}) {
    EXPECT_TRUE(contains(message_of([&] { read_file_maybe_gzip(folder / "f.gz", limit); }),
                         "after inflating"))
        << limit;
  }
}

TEST(ReadFile, refuses_every_prefix_of_a_gzip_file) {
  const TempFolder folder;
  write_gzip(folder / "f.gz", "some text that is compressed");
  const std::string whole = testing::read_bytes(folder / "f.gz");
  for (std::size_t length = 2; length < whole.size(); ++length) {  // below, it is no gzip file yet
    testing::write_bytes(folder / "cut.gz", whole.substr(0, length));
    EXPECT_FALSE(message_of([&] { read_file_maybe_gzip(folder / "cut.gz"); }).empty()) << length;
  }
}

TEST(WriteFileAtomic, replaces_the_file_and_leaves_nothing_else) {
  const TempFolder folder;
  write_file_atomic(folder / "f", "first");
  write_file_atomic(folder / "f", "2nd");
  EXPECT_EQ(testing::read_bytes(folder / "f"), "2nd");
  write_file_atomic(folder / "f", "");
  EXPECT_EQ(testing::read_bytes(folder / "f"), "");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(WriteFileAtomic, takes_long_utf8_names_with_spaces) {
  const TempFolder folder;
  std::string name = "größe und 尺寸 ";
  name.resize(255, 'x');
  write_file_atomic(folder / name, "content");
  EXPECT_EQ(text_of(read_file(folder / name)), "content");
}

TEST(WriteFileAtomic, writes_into_the_current_folder) {
  const TempFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file_atomic("plain-name", "content");
  std::filesystem::current_path(before);
  EXPECT_EQ(testing::read_bytes(folder / "plain-name"), "content");
}

TEST(WriteFileAtomic, honours_the_umask) {
  const TempFolder folder;
  const auto before = ::umask(027);
  write_file_atomic(folder / "f", "x");
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat((folder / "f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0640u);
}

TEST(WriteFileAtomic, names_path_and_cause) {
  const TempFolder folder;
  const auto missing = folder / "no folder/f";
  EXPECT_EQ(message_of([&] { write_file_atomic(missing, "x"); }),
            "[write] cannot write '" + missing.string() +
                "': No such file or directory; create its folder first");
  std::filesystem::create_directory(folder / "taken");
  EXPECT_TRUE(contains(message_of([&] { write_file_atomic(folder / "taken", "x"); }),
                       "Is a directory; choose another path"));
  EXPECT_EQ(folder.count(), 1u);
}

TEST(WriteFileAtomic, keeps_the_old_file_when_the_new_one_does_not_fit) {
  const TempFolder folder;
  write_file_atomic(folder / "f", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message =
      message_of([&] { write_file_atomic(folder / "f", std::string(5000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(contains(message, "File too large; raise the limit")) << message;
  EXPECT_EQ(testing::read_bytes(folder / "f"), "old");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(WriteFileAtomic, reports_a_full_disk) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  EXPECT_FALSE(message_of([] { write_file_atomic("/dev/full/f", "x"); }).empty());
}

TEST(WriteFileAtomic, readers_see_whole_files_only) {
  const TempFolder folder;
  const std::string a(50'000, 'a');
  const std::string b(50'000, 'b');
  write_file_atomic(folder / "f", a);
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) write_file_atomic(folder / "f", i % 2 == 0 ? b : a);
  });
  for (int i = 0; i < 100; ++i) {
    const std::string seen = text_of(read_file(folder / "f"));
    EXPECT_TRUE(seen == a || seen == b);
  }
  writer.join();
}

TEST(ProbeWritable, creates_the_folders_and_leaves_nothing_in_them) {
  const TempFolder folder;
  probe_writable(folder / "a/b c/d");
  EXPECT_TRUE(std::filesystem::is_empty(folder / "a/b c/d"));
  probe_writable(folder / "a/b c/d");
}

TEST(ProbeWritable, refuses_files_and_what_lies_below_them) {
  const TempFolder folder;
  testing::write_bytes(folder / "f", "x");
  EXPECT_TRUE(contains(message_of([&] { probe_writable(folder / "f"); }),
                       "[write] cannot create files in '" + (folder / "f").string() + "': "));
  EXPECT_TRUE(contains(message_of([&] { probe_writable(folder / "f/g"); }), "Not a directory"));
}

/// While alive, a process of root's has the permissions of nobody in particular.
class OrdinaryUser {
 public:
  OrdinaryUser() {
    if (::geteuid() == 0) switched_ = ::seteuid(65534) == 0;
  }
  ~OrdinaryUser() {
    if (switched_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool switched_ = false;
};

TEST(ProbeWritable, refuses_a_folder_without_permission) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "locked");
  ::chmod((folder / "locked").c_str(), 0555);
  ::chmod((folder / ".").c_str(), 0755);
  const OrdinaryUser user;
  EXPECT_TRUE(
      contains(message_of([&] { probe_writable(folder / "locked"); }), "Permission denied"));
}

}  // namespace
}  // namespace evenkeel::io
