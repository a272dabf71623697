// Files that were cut, flipped, zeroed or swapped: refused by name, or the checkpoint before is
// taken. In this process, for there are tens of thousands of them.

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faults/small_run.h"
#include "faults/tiny_run.h"
#include "train/checkpoint.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/random.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

/// A file in memory, for content after content.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("evenkeel-faults", MFD_CLOEXEC)) {}
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  fs::path path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }
  void set(const std::string& content) const {
    const auto size = static_cast<ssize_t>(content.size());
    ASSERT_EQ(::ftruncate(descriptor_, 0), 0);
    ASSERT_EQ(::pwrite(descriptor_, content.data(), content.size(), 0), size);
  }

 private:
  int descriptor_;
};

/// A run made once, and the files in it that are damaged.
class InProcessDamage : public ::testing::TestWithParam<const char*> {
 protected:
  static const TemporaryFolder& folder() {
    static const TemporaryFolder folder;
    return folder;
  }
  static fs::path run() {
    static const fs::path path = [] {
      train::Trainer(small_settings(folder() / "run"), small_splits()).run();
      return folder() / "run";
    }();
    return path;
  }
  static fs::path victim() { return run() / GetParam(); }
  static bool is_checkpoint() { return std::string(GetParam()).rfind("checkpoints", 0) == 0; }

  /// The message of the refusal, which names the file; empty where the file was taken.
  static std::string refusal(const fs::path& path) {
    try {
      if (is_checkpoint()) {
        train::read_checkpoint(path);
      } else {
        model::load_network(path);
      }
      return "";
    } catch (const IoError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(path.string()), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      return message;
    }
  }

  static std::size_t header_size(const std::string& content) {
    std::uint64_t length = 0;
    std::memcpy(&length, content.data(), sizeof(length));
    return sizeof(length) + static_cast<std::size_t>(length);
  }

  MemoryFile file_;
};

TEST_P(InProcessDamage, WholeFilesAreTaken) {
  EXPECT_EQ(refusal(victim()), "");
  file_.set(read_text(victim()));
  EXPECT_EQ(refusal(file_.path()), "");
}

TEST_P(InProcessDamage, CutAtEveryLengthIsRefused) {
  const std::string content = read_text(victim());
  const std::size_t data = header_size(content);
  ASSERT_GT(content.size(), data);
  for (std::size_t length = 0; length < content.size(); ++length) {
    file_.set(content.substr(0, length));
    const std::string message = refusal(file_.path());
    ASSERT_NE(message, "") << "at length " << length;
    ASSERT_TRUE(length < data || contains(message, "tensor '")) << "at length " << length;
  }
}

TEST_P(InProcessDamage, LengthenedIsRefused) {
  const std::string content = read_text(victim());
  for (const std::size_t more : {1U, 8U, 4096U}) {
    file_.set(content + std::string(more, '\0'));
    EXPECT_NE(refusal(file_.path()), "") << more;
  }
}

TEST_P(InProcessDamage, EveryFlippedBitOfTheHeaderIsRefused) {
  const std::string content = read_text(victim());
  for (std::size_t bit = 0; bit < 8 * header_size(content); ++bit) {
    std::string flipped = content;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    file_.set(flipped);
    ASSERT_NE(refusal(file_.path()), "") << "bit " << bit % 8 << " of byte " << bit / 8;
  }
}

TEST_P(InProcessDamage, TenThousandFlippedBitsAreRefused) {
  const std::string content = read_text(victim());
  Random random(23);
  for (int i = 0; i < 10'000; ++i) {
    std::string flipped = content;
    const std::size_t bit = random.below(8 * content.size());
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    file_.set(flipped);
    ASSERT_NE(refusal(file_.path()), "") << "bit " << bit % 8 << " of byte " << bit / 8;
  }
}

/// All bits of the data, which are fewer than its header's.
TEST_P(InProcessDamage, EveryFlippedBitOfTheDataIsRefused) {
  const std::string content = read_text(victim());
  for (std::size_t bit = 8 * header_size(content); bit < 8 * content.size(); ++bit) {
    std::string flipped = content;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    file_.set(flipped);
    ASSERT_TRUE(contains(refusal(file_.path()), "checksum")) << "bit " << bit;
  }
}

TEST_P(InProcessDamage, ZeroedPagesAreRefused) {
  const std::string content = read_text(victim());
  int zeroed = 0;
  for (const std::size_t page : {std::size_t{512}, std::size_t{4096}, content.size()}) {
    for (std::size_t at = 0; at < content.size(); at += page) {
      std::string damaged = content;
      const std::size_t size = std::min(page, content.size() - at);
      damaged.replace(at, size, size, '\0');
      if (damaged == content) continue;  // zeros before
      file_.set(damaged);
      EXPECT_NE(refusal(file_.path()), "") << size << " bytes at " << at;
      ++zeroed;
    }
  }
  EXPECT_GT(zeroed, 4);
}

/// A tensor swapped for another, shifted bytes: what a checksum per tensor alone would not see.
TEST_P(InProcessDamage, SwappedBlocksAreRefused) {
  const std::string content = read_text(victim());
  const std::size_t data = header_size(content);
  for (const std::size_t size : {4U, 8U, 24U}) {
    for (std::size_t at = data; at + 2 * size <= content.size(); at += size) {
      std::string damaged = content;
      std::swap_ranges(damaged.begin() + static_cast<std::ptrdiff_t>(at),
                       damaged.begin() + static_cast<std::ptrdiff_t>(at + size),
                       damaged.begin() + static_cast<std::ptrdiff_t>(at + size));
      if (damaged == content) continue;
      file_.set(damaged);
      EXPECT_NE(refusal(file_.path()), "") << size << " bytes at " << at;
    }
  }
}

TEST_P(InProcessDamage, WithoutAChecksumIsRefused) {
  io::TensorFile file = io::read_safetensors(victim());
  ASSERT_EQ(file.metadata.erase("evenkeel.crc32c"), 1U);
  const fs::path path = folder() / "bare.safetensors";
  io::write_safetensors(path, file);
  EXPECT_TRUE(contains(refusal(path), "checksum"));
}

INSTANTIATE_TEST_SUITE_P(Files, InProcessDamage,
                         ::testing::Values("checkpoints/step-0000000012.safetensors",
                                           "final.safetensors", "best.safetensors"),
                         [](const auto& row) {
                           return std::string(fs::path(row.param).stem().string().substr(0, 4));
                         });

}  // namespace
}  // namespace evenkeel::testing
