#include "io/zip.h"
#include "readers.h"
#include "repair.h"
#include "support.h"
#include <evenkeel/io/npy.h>

namespace evenkeel::fuzz {
namespace {

constexpr std::size_t kLargest = std::size_t{1} << 20;  // of an array that is written again

std::uint64_t bytes_of(const std::map<std::string, Tensor>& arrays) {
  std::uint64_t total = 0;
  for (const auto& [name, array] : arrays) total += array.bytes();
  return total;
}

void read(std::string_view bytes) {
  std::map<std::string, Tensor> arrays;
  if (!accepts([&] { arrays = io::read_npz(file_of(bytes)); })) return;
  constexpr std::uint64_t kDensest = 1032 * 4;  // deflate's ratio, and i1 becomes i32
  for (const auto& [name, array] : arrays) check_tensor(array, kDensest * bytes.size());
  if (bytes_of(arrays) > kLargest) return;
  const std::filesystem::path copy = work_folder() / "copy.npz";
  io::write_npz(copy, arrays);
  const auto again = io::read_npz(copy);
  promise(again.size() == arrays.size(), "{} arrays, {} once written", arrays.size(), again.size());
  for (const auto& [name, array] : arrays) {
    const auto found = again.find(name);
    promise(found != again.end() && same(found->second, array), "'{}' differs once written", name);
  }
}

/// The member's data, and what belongs into its places of the directory.
struct Member {
  std::string name;
  std::string stored;
  int method = 0;
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
};

Member member(std::string name, std::string_view content, bool deflate) {
  Member result{std::move(name), std::string(content), 0, content.size(),
                io::zip_crc(std::as_bytes(std::span(content)))};
  if (deflate) {
    const std::string zlib = deflated(content, false);
    result.stored = zlib.substr(2, zlib.size() - 6);  // without zlib's header and checksum
    result.method = 8;
  }
  return result;
}

std::string archive(const std::vector<Member>& members) {
  std::string out;
  std::string directory;
  for (const Member& m : members) {
    const std::string common = little(0, 2) + little(static_cast<std::uint64_t>(m.method), 2) +
                               little(0, 4) + little(m.crc, 4) + little(m.stored.size(), 4) +
                               little(m.size, 4) + little(m.name.size(), 2) + little(0, 2);
    directory += "PK\x01\x02" + little(20, 2) + little(20, 2) + common + little(0, 2) +
                 little(0, 2) + little(0, 2) + little(0, 4) + little(out.size(), 4) + m.name;
    out += "PK\x03\x04" + little(20, 2) + common + m.name + m.stored;
  }
  const std::uint64_t begin = out.size();
  return out + directory + "PK\x05\x06" + little(0, 4) + little(members.size(), 2) +
         little(members.size(), 2) + little(directory.size(), 4) + little(begin, 4) + little(0, 2);
}

std::vector<Seed> seeds() {
  const std::string array = written("seed.npy", [](const auto& path) {
    io::write_npy(path, Tensor::full({2, 3}, 3));
  });
  const Member plain = member("a.npy", array, false);
  const Member packed = member("b.npy", array, true);
  Member lying = packed;
  lying.size = 0xFFFFFFFE;
  Member wrong = packed;
  wrong.crc ^= 1;
  Member short_size = plain;
  short_size.size -= 1;
  const std::string zeros =
      written("seed.npy", [](const auto& path) { io::write_npy(path, Tensor::zeros({1 << 18})); });
  std::string overlap = archive({plain, packed});
  overlap.replace(overlap.rfind("b.npy") - 4, 4, little(0, 4));
  const std::string zip64_end =
      "PK\x06\x06" + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8) +
      little(~0ull, 8) + little(~0ull, 8) + little(~0ull, 8) + little(0, 8) + "PK\x06\x07" +
      little(0, 4) + little(0, 8) + little(1, 4) + "PK\x05\x06" + little(0, 4) + little(0xFFFF, 2) +
      little(0xFFFF, 2) + little(0xFFFFFFFF, 4) + little(0xFFFFFFFF, 4) + little(0, 2);
  return {
      {"ours", written("seed.npz",
                       [](const auto& path) {
                         io::write_npz(path, {{"x", Tensor::full({2, 2}, 1)},
                                              {"y", Tensor::full({2}, 1, DType::i64)}});
                       })},
      {"empty", archive({})},
      {"deflated", archive({plain, packed})},
      {"lying_size", archive({lying})},
      {"wrong_crc", archive({wrong})},
      {"short_size", archive({short_size})},
      {"twice", archive({plain, plain})},
      {"dense", archive({member("zeros.npy", zeros, true)})},
      {"overlap", overlap},
      {"no_array", archive({member("readme.txt", "text", false)})},
      {"zip64_lies", zip64_end},
  };
}

}  // namespace

Target npz_target() {
  return {.reader = "npz", .read = read, .seeds = seeds, .repair = repair_zip};
}

}  // namespace evenkeel::fuzz
