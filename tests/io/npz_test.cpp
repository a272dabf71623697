#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>

#include "io/io_testing.h"
#include <evenkeel/io/npy.h>

namespace evenkeel::io {
namespace {

using testing::contains;
using testing::message_of;
using testing::same;
using testing::TempFolder;

/// An archive built by hand, so that every field can lie.
struct Member {
  std::string name;
  std::string data;  // as stored
  std::uint16_t method = 0;
  std::uint32_t crc = 0;
  std::uint64_t size = 0;
  std::uint16_t flags = 0;
  bool zip64 = false;
  std::string local_name = {};
  std::int64_t offset = -1;  // where it is; -1 writes it
};

std::uint32_t crc_of(const std::string& text) {
  return static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
}

Member stored(const std::string& name, const std::string& content) {
  return {name, content, 0, crc_of(content), content.size()};
}

Member deflated(const std::string& name, const std::string& content) {
  std::string out(content.size() + 1000, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return {name, out, 8, crc_of(content), content.size()};
}

std::string fields(const Member& member) {
  std::string out;
  testing::put_le<std::uint16_t>(out, member.flags);
  testing::put_le<std::uint16_t>(out, member.method);
  testing::put_le<std::uint32_t>(out, 0);
  testing::put_le<std::uint32_t>(out, member.crc);
  const auto wide = std::uint32_t{0xFFFFFFFF};
  testing::put_le(out, member.zip64 ? wide : static_cast<std::uint32_t>(member.data.size()));
  testing::put_le(out, member.zip64 ? wide : static_cast<std::uint32_t>(member.size));
  return out;
}

std::string extra(const Member& member) {
  std::string out;
  if (!member.zip64) return out;
  testing::put_le<std::uint16_t>(out, 1);
  testing::put_le<std::uint16_t>(out, 16);
  testing::put_le<std::uint64_t>(out, member.size);
  testing::put_le<std::uint64_t>(out, member.data.size());
  return out;
}

std::string archive(const std::vector<Member>& members) {
  std::string out;
  std::string directory;
  for (const Member& member : members) {
    const std::string& local = member.local_name.empty() ? member.name : member.local_name;
    const auto offset = member.offset >= 0 ? static_cast<std::size_t>(member.offset) : out.size();
    if (member.offset < 0) {
      out += std::string("PK\x03\x04\x14\x00", 6) + fields(member);
      testing::put_le(out, static_cast<std::uint16_t>(local.size()));
      testing::put_le(out, static_cast<std::uint16_t>(extra(member).size()));
      out += local + extra(member) + member.data;
    }
    directory += std::string("PK\x01\x02\x14\x00\x14\x00", 8) + fields(member);
    testing::put_le(directory, static_cast<std::uint16_t>(member.name.size()));
    testing::put_le(directory, static_cast<std::uint16_t>(extra(member).size()));
    directory += std::string(10, '\0');
    testing::put_le(directory, static_cast<std::uint32_t>(offset));
    directory += member.name + extra(member);
  }
  const std::size_t begin = out.size();
  out += directory + std::string("PK\x05\x06\0\0\0\0", 8);
  testing::put_le(out, static_cast<std::uint16_t>(members.size()));
  testing::put_le(out, static_cast<std::uint16_t>(members.size()));
  testing::put_le(out, static_cast<std::uint32_t>(directory.size()));
  testing::put_le(out, static_cast<std::uint32_t>(begin));
  return out + std::string(2, '\0');
}

const std::string kArray =
    testing::npy_bytes("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", "abcd");
const std::string kLargeArray = testing::npy_bytes(
    "{'descr': '|u1', 'fortran_order': False, 'shape': (50000,), }", std::string(50'000, 'x'));

class Npz : public ::testing::Test {
 protected:
  std::map<std::string, Tensor> read(const std::string& bytes) {
    testing::write_bytes(file_, bytes);
    return read_npz(file_);
  }
  std::string refusal(const std::vector<Member>& members) {
    return message_of([&] { read(archive(members)); });
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "x.npz";
};

TEST_F(Npz, written_arrays_come_back_by_name) {
  const std::map<std::string, Tensor> arrays = {{"x", Tensor::from({1.0f, 2.0f}, {2})},
                                                {"größe", Tensor::from({std::int64_t{3}}, {})},
                                                {"", Tensor::zeros({0})},
                                                {"a/b", Tensor::from({std::uint8_t{1}}, {1, 1})}};
  write_npz(file_, arrays);
  const auto back = read_npz(file_);
  ASSERT_EQ(back.size(), arrays.size());
  for (const auto& [name, tensor] : arrays) EXPECT_TRUE(same(back.at(name), tensor)) << name;
}

TEST_F(Npz, equal_arrays_make_equal_files) {
  write_npz(file_, {{"x", Tensor::zeros({3})}});
  const std::string first = testing::read_bytes(file_);
  write_npz(file_, {{"x", Tensor::zeros({3})}});
  EXPECT_EQ(testing::read_bytes(file_), first);
}

TEST_F(Npz, an_archive_may_be_empty) {
  write_npz(file_, {});
  EXPECT_TRUE(read_npz(file_).empty());
}

TEST_F(Npz, stored_deflated_and_zip64_members_are_read) {
  Member wide = deflated("c.npy", kArray);
  wide.zip64 = true;
  const auto arrays =
      read(archive({stored("a.npy", kArray), deflated("b.npy", kLargeArray), wide}));
  EXPECT_EQ(arrays.at("a").numel(), 4);
  EXPECT_EQ(arrays.at("b").span<std::uint8_t>()[49'999], 'x');
  EXPECT_EQ(arrays.at("c").span<std::uint8_t>()[3], 'd');
}

TEST_F(Npz, damaged_data_is_found_by_its_checksum) {
  Member member = stored("a.npy", kArray);
  member.data.back() ^= 1;
  EXPECT_TRUE(contains(refusal({member}), "member 'a.npy': expected CRC-32"));
  member = deflated("a.npy", kLargeArray);
  member.crc ^= 1;
  EXPECT_TRUE(contains(refusal({member}), "expected CRC-32"));
}

TEST_F(Npz, claims_of_size_are_checked_before_memory_is_taken) {
  Member member = deflated("a.npy", kArray);
  member.size = 0xFFFFFFF0;
  EXPECT_TRUE(contains(refusal({member}), "got a claim of 4294967280"));
  member.zip64 = true;
  member.size = ~std::uint64_t{0};
  EXPECT_TRUE(contains(refusal({member}), "got a claim of"));
  member = stored("a.npy", kArray);
  member.size += 1;
  EXPECT_TRUE(contains(refusal({member}), "expected exactly"));
  member = deflated("a.npy", kArray);
  member.size -= 1;
  EXPECT_TRUE(contains(refusal({member}), "cut short"));
  member.size += 2;
  EXPECT_TRUE(contains(refusal({member}), "cut short"));
  member = deflated("a.npy", kArray + "more");
  member.size = kArray.size();
  EXPECT_TRUE(contains(refusal({member}), "after inflating, got more"));
}

TEST_F(Npz, members_that_share_their_bytes_are_refused) {
  Member again = stored("b.npy", kArray);
  again.local_name = "a.npy";
  again.offset = 0;
  EXPECT_TRUE(contains(refusal({stored("a.npy", kArray), again}), "the same name in front"));
  Member inner = stored("i.npy", kArray);
  const std::string nested = archive({inner}).substr(0, 30 + 5 + kArray.size());
  Member outer = stored("o.npy", nested);
  inner.offset = 30 + 5;
  EXPECT_TRUE(contains(refusal({outer, inner}), "overlap"));
}

TEST_F(Npz, names_that_come_twice_and_other_members_are_refused) {
  EXPECT_TRUE(contains(refusal({stored("a.npy", kArray), stored("a.npy", kArray)}), "comes twice"));
  EXPECT_TRUE(contains(refusal({stored("readme.txt", "hello")}), "'readme.txt': expected members"));
}

TEST_F(Npz, encryption_and_other_methods_are_refused) {
  Member member = stored("a.npy", kArray);
  member.flags = 1;
  EXPECT_TRUE(contains(refusal({member}), "encrypted"));
  member.flags = 0;
  member.method = 12;
  EXPECT_TRUE(contains(refusal({member}), "method 12"));
}

TEST_F(Npz, offsets_outside_of_the_archive_are_refused) {
  Member member = stored("a.npy", kArray);
  for (const std::int64_t offset : {std::int64_t{1}, std::int64_t{20}, std::int64_t{0x7FFFFFFF}}) {
    Member moved = member;
    moved.offset = offset;
    moved.name = "b.npy";
    EXPECT_FALSE(refusal({member, moved}).empty());
  }
}

TEST_F(Npz, an_archive_comment_is_allowed) {
  std::string bytes = archive({stored("a.npy", kArray)});
  bytes[bytes.size() - 2] = 5;
  EXPECT_EQ(read(bytes + "hello").size(), 1u);
  EXPECT_TRUE(contains(message_of([&] { read(bytes + "hell"); }), "no end of one"));
}

TEST_F(Npz, every_prefix_of_an_archive_is_refused) {
  const std::string whole = archive({stored("a.npy", kArray), deflated("b.npy", kArray)});
  ASSERT_EQ(read(whole).size(), 2u);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(message_of([&] { read(whole.substr(0, length)); }).empty()) << length;
  }
}

TEST_F(Npz, a_failed_write_leaves_the_old_archive) {
  write_npz(file_, {{"x", Tensor::zeros({3})}});
  EXPECT_TRUE(contains(message_of([&] { write_npz(file_, {{"x", Tensor()}}); }), "array 'x'"));
  EXPECT_EQ(read_npz(file_).size(), 1u);
  EXPECT_EQ(folder_.count(), 1u);
}

}  // namespace
}  // namespace evenkeel::io
