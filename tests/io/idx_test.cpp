#include <fmt/format.h>
#include <zlib.h>

#include "io/io_testing.h"
#include <evenkeel/io/idx.h>

namespace evenkeel::io {
namespace {

using testing::contains;
using testing::message_of;
using testing::TempFolder;

std::string idx_bytes(std::initializer_list<std::uint32_t> dims, std::string_view data,
                      char type = 0x08) {
  std::string out{'\0', '\0', type, static_cast<char>(dims.size())};
  for (const std::uint32_t dim : dims) testing::put_be(out, dim);
  return out + std::string(data);
}

class Idx : public ::testing::Test {
 protected:
  Tensor read(const std::string& bytes) {
    testing::write_bytes(file_, bytes);
    return read_idx(file_);
  }
  Tensor read_gzip(const std::string& bytes) {
    gzFile out = gzopen(file_.c_str(), "wb");
    gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(out);
    return read_idx(file_);
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "images-idx3-ubyte";
};

TEST_F(Idx, plain_and_gzip_files_give_the_same) {
  const std::string bytes = idx_bytes({2, 1, 3}, "abcdef");
  for (const Tensor& tensor : {read(bytes), read_gzip(bytes)}) {
    EXPECT_EQ(tensor.shape(), (Shape{2, 1, 3}));
    EXPECT_EQ(tensor.dtype(), DType::u8);
    EXPECT_EQ(tensor.span<std::uint8_t>()[4], 'e');
  }
}

TEST_F(Idx, any_rank_up_to_eight_is_read) {
  EXPECT_EQ(read(idx_bytes({3}, "abc")).shape(), (Shape{3}));
  EXPECT_EQ(read(idx_bytes({1, 1, 1, 1, 1, 1, 1, 2}, "ab")).rank(), 8);
  EXPECT_EQ(read(idx_bytes({0, 28, 28}, "")).numel(), 0);
  EXPECT_TRUE(contains(message_of([&] { read(idx_bytes({}, "a")); }), "dimensions"));
  EXPECT_TRUE(contains(message_of([&] {
                         read(idx_bytes({1, 1, 1, 1, 1, 1, 1, 1, 1}, "a"));
                       }),
                       "got 9"));
}

TEST_F(Idx, the_message_names_file_expectation_and_finding) {
  EXPECT_EQ(message_of([&] {
              read(idx_bytes({2, 3}, "abcd"));
            }),
            "[idx] '" + file_.string() +
                "': expected 6 bytes for shape [2, 3], got at most 4; the file is cut short");
  EXPECT_TRUE(contains(message_of([&] { read(idx_bytes({2, 3}, "abcdefg")); }), "got more"));
}

TEST_F(Idx, other_types_and_other_files_are_refused) {
  EXPECT_TRUE(contains(message_of([&] { read(idx_bytes({1}, "abcd", 0x0D)); }), "got type 0d"));
  EXPECT_TRUE(contains(message_of([&] { read("PK\x03\x04 something"); }), "IDX file"));
  EXPECT_TRUE(contains(message_of([&] { read_idx(folder_ / "missing"); }), "No such file"));
  EXPECT_TRUE(contains(message_of([&] { read_idx(folder_.path()); }), "got a folder"));
}

TEST_F(Idx, claims_beyond_the_file_are_refused_before_memory_is_taken) {
  const std::string lie = idx_bytes({0xFFFFFFFF, 0x7FFFFFFF}, "abcd");
  EXPECT_TRUE(contains(message_of([&] { read(lie); }), "cut short"));
  EXPECT_TRUE(contains(message_of([&] { read_gzip(lie); }), "cut short"));
  const std::string wraps = idx_bytes({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "abcd");
  EXPECT_TRUE(contains(message_of([&] { read(wraps); }), "63 bits"));
}

TEST_F(Idx, gzip_streams_are_checked_to_their_end) {
  read_gzip(idx_bytes({4}, "abcd"));
  const std::string whole = testing::read_bytes(file_);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(message_of([&] { read(whole.substr(0, length)); }).empty()) << length;
  }
  EXPECT_TRUE(contains(message_of([&] { read(whole + "x"); }), "got more bytes"));
  std::string damaged = whole;
  damaged[damaged.size() - 6] ^= 1;  // in the checksum
  EXPECT_TRUE(contains(message_of([&] { read(damaged); }), "damaged"));
  EXPECT_TRUE(contains(message_of([&] { read_gzip(idx_bytes({4}, "abcde")); }), "got more"));
  EXPECT_TRUE(contains(message_of([&] { read_gzip(idx_bytes({4}, "abc")); }), "expected 4 bytes"));
}

TEST_F(Idx, gzip_members_in_a_row_are_one_stream) {
  const std::string bytes = idx_bytes({4}, "abcd");
  read_gzip(bytes);
  const std::string one = testing::read_bytes(file_);
  std::string two;
  for (const std::string& part : {bytes.substr(0, 7), bytes.substr(7)}) {
    gzFile out = gzopen(file_.c_str(), "wb");
    gzwrite(out, part.data(), static_cast<unsigned>(part.size()));
    gzclose(out);
    two += testing::read_bytes(file_);
  }
  EXPECT_GT(two.size(), one.size());
  EXPECT_EQ(read(two).numel(), 4);
}

TEST_F(Idx, every_prefix_of_a_plain_file_is_refused) {
  const std::string whole = idx_bytes({2, 2}, "abcd");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(message_of([&] { read(whole.substr(0, length)); }).empty()) << length;
  }
}

std::string cifar_record(char label, char pixel) {
  return std::string(1, label) + std::string(3072, pixel);
}

TEST_F(Idx, cifar_records_become_images_and_labels) {
  testing::write_bytes(file_, cifar_record(3, 'a') + cifar_record(9, 'b'));
  const Cifar cifar = read_cifar10(file_);
  EXPECT_EQ(cifar.images.shape(), (Shape{2, 3, 32, 32}));
  EXPECT_EQ(cifar.labels, (std::vector<std::int32_t>{3, 9}));
  EXPECT_EQ(cifar.images.span<std::uint8_t>()[3071], 'a');
  EXPECT_EQ(cifar.images.span<std::uint8_t>()[3072], 'b');
}

TEST_F(Idx, cifar_files_of_another_size_or_with_other_labels_are_refused) {
  testing::write_bytes(file_, cifar_record(3, 'a') + "x");
  EXPECT_TRUE(
      contains(message_of([&] { read_cifar10(file_); }), "got 3074 bytes: 1 whole records"));
  testing::write_bytes(file_, "");
  EXPECT_TRUE(contains(message_of([&] { read_cifar10(file_); }), "got 0 bytes"));
  testing::write_bytes(file_, cifar_record(3, 'a') + cifar_record(10, 'a'));
  EXPECT_TRUE(contains(message_of([&] { read_cifar10(file_); }), "got 10 in record 1"));
}

TEST(RealData, mnist_and_fashion_mnist_have_their_known_shapes_and_labels) {
  const auto folder = testing::folder_from("EVENKEEL_DATA");
  if (!folder) GTEST_SKIP() << "EVENKEEL_DATA does not name the folder of the data sets";
  for (const char* set : {"mnist", "fashion-mnist"}) {
    for (const auto& [part, count] : {std::pair{"train", 60000}, std::pair{"t10k", 10000}}) {
      const auto file = [&, p = part](const char* kind) {
        return *folder / set / fmt::format("{}-{}.gz", p, kind);
      };
      EXPECT_EQ(read_idx(file("images-idx3-ubyte")).shape(), (Shape{count, 28, 28}));
      const Tensor labels = read_idx(file("labels-idx1-ubyte"));
      EXPECT_EQ(labels.shape(), (Shape{count}));
      if (set == std::string("mnist") && count == 60000) {
        EXPECT_EQ(labels.span<std::uint8_t>()[0], 5);
        EXPECT_EQ(labels.span<std::uint8_t>()[1], 0);
        EXPECT_EQ(labels.span<std::uint8_t>()[2], 4);
      }
    }
  }
}

TEST(RealData, cifar_batches_have_ten_thousand_images) {
  const auto folder = testing::folder_from("EVENKEEL_DATA");
  if (!folder) GTEST_SKIP() << "EVENKEEL_DATA does not name the folder of the data sets";
  const Cifar cifar = read_cifar10(*folder / "cifar10/cifar-10-batches-bin/data_batch_1.bin");
  EXPECT_EQ(cifar.images.shape(), (Shape{10000, 3, 32, 32}));
  EXPECT_EQ(cifar.labels.size(), 10000u);
  EXPECT_EQ((std::vector<std::int32_t>(cifar.labels.begin(), cifar.labels.begin() + 3)),
            (std::vector<std::int32_t>{6, 9, 9}));
}

}  // namespace
}  // namespace evenkeel::io
