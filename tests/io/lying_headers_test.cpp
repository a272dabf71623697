// Headers that claim what is not there: refused for little time and memory, whatever they claim.
#include <zlib.h>

#include "io/cost.h"
#include "io/io_testing.h"
#include "io/torch_file.h"
#include <evenkeel/io/file.h>
#include <evenkeel/io/idx.h>
#include <evenkeel/io/image.h>
#include <evenkeel/io/npy.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/io/table.h>
#include <evenkeel/io/torch_checkpoint.h>

namespace evenkeel::io {
namespace {

using Reader = std::function<void(const std::filesystem::path&)>;

struct Lie {
  std::string name;
  std::string whole;  ///< a file that is read, which brings the reader in
  std::string bytes;
  Reader read;
  std::int64_t asked = 1024;  ///< KiB that it may ask for tensors
};

std::string gzip(const std::string& text) {
  const testing::TempFolder folder;
  gzFile out = gzopen((folder / "file").c_str(), "wb1");
  for (std::size_t at = 0; at < text.size(); at += 1 << 20) {
    const std::string part = text.substr(at, 1 << 20);
    gzwrite(out, part.data(), static_cast<unsigned>(part.size()));
  }
  gzclose(out);
  return testing::read_bytes(folder / "file");
}

std::vector<Lie> safetensors_lies() {
  std::vector<Lie> lies;
  const Reader read = [](const auto& path) { read_safetensors(path); };
  const std::string data(16, 'x');
  const auto tensor = [](std::string_view name, std::string_view shape, std::string_view offsets) {
    return fmt::format(R"("{}":{{"dtype":"F32","shape":{},"data_offsets":{}}})", name, shape,
                       offsets);
  };
  const std::string whole =
      testing::safetensors_bytes("{" + tensor("a", "[4]", "[0,16]") + "}", data);
  const auto add = [&](const std::string& name, const std::string& tensors) {
    lies.push_back({"safetensors_" + name, whole,
                    testing::safetensors_bytes("{" + tensors + "}", data), read});
  };
  for (const std::uint64_t length :
       {std::uint64_t{17}, std::uint64_t{1} << 31, std::uint64_t{100'000'000},
        (std::uint64_t{1} << 63) - 1, ~std::uint64_t{0} - 7, ~std::uint64_t{0}}) {
    std::string bytes;
    testing::put_le(bytes, length);
    lies.push_back({fmt::format("safetensors_header_of_{}", length), whole, bytes + data, read});
  }
  add("largest_tensor", tensor("a", "[4611686018427387903]", "[0,18446744073709551612]"));
  add("wrapping_product", tensor("a", "[4294967296,4294967296,4294967296,2]", "[0,16]"));
  add("product_wraps_to_its_size", tensor("a", "[4611686018427387908]", "[0,16]"));
  add("extent_of_2_64", tensor("a", "[18446744073709551616]", "[0,16]"));
  add("zero_beside_overflow", tensor("a", "[0,9223372036854775807,4]", "[0,0]"));
  add("offsets_wrap", tensor("a", "[4]", "[18446744073709551600,18446744073709551615]"));
  add("overlap", tensor("a", "[3]", "[0,12]") + "," + tensor("b", "[3]", "[4,16]"));
  add("same_name", tensor("a", "[2]", "[0,8]") + "," + tensor("a", "[2]", "[8,16]"));
  std::string copies = tensor("t", "[4]", "[0,16]");
  for (int i = 0; i < 5000; ++i) copies += "," + tensor(fmt::format("t{}", i), "[4]", "[0,16]");
  add("one_range_5000_times", copies);
  std::string numbers = "[1";
  for (int i = 0; i < 400'000; ++i) numbers += ",1";
  add("400000_dimensions", tensor("a", numbers + "]", "[0,16]"));
  return lies;
}

std::vector<Lie> npy_lies() {
  std::vector<Lie> lies;
  const Reader read = [](const auto& path) { read_npy(path); };
  const auto file = [](std::string_view type, std::string_view shape) {
    return testing::npy_bytes(
        fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", type, shape),
        "0123456789abcdef");
  };
  const std::string whole = file("<f4", "(4,)");
  const auto add = [&](const std::string& name, const std::string& bytes) {
    lies.push_back({"npy_" + name, whole, bytes, read});
  };
  add("one_byte_missing", file("|u1", "(17,)"));
  add("one_gib", file("|u1", "(1073741824,)"));
  add("largest", file("|u1", "(9223372036854775807,)"));
  add("extent_of_2_64", file("|u1", "(18446744073709551616,)"));
  add("wrapping_product", file("<f8", "(4294967296, 4294967296, 2)"));
  add("product_wraps_to_its_size", file("<f4", "(4611686018427387908,)"));
  add("zero_beside_overflow", file("<f4", "(0, 9223372036854775807, 9223372036854775807)"));
  add("widened", file("|i1", "(1152921504606846976,)"));
  add("header_of_4_gib", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + "{}");
  return lies;
}

std::vector<Lie> torch_lies() {
  using evenkeel::testing::pickle_dict;
  using evenkeel::testing::pickle_tensor;
  using evenkeel::testing::pickle_text;
  using evenkeel::testing::torch_bytes;
  using evenkeel::testing::TorchView;
  std::vector<Lie> lies;
  const Reader read = [](const auto& path) { read_torch_checkpoint(path); };
  const std::string data(16, 'x');
  const auto file = [&](const TorchView& view) {
    return torch_bytes(pickle_dict({{"a", pickle_tensor(view)}}), {{"0", data}});
  };
  const std::string whole = file({.count = 4, .shape = {4}, .strides = {1}});
  const auto add = [&](const std::string& name, const std::string& bytes) {
    lies.push_back({"torch_" + name, whole, bytes, read});
  };
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  add("largest_storage", file({.count = kHuge, .shape = {kHuge}, .strides = {1}}));
  add("largest_tensor", file({.count = 4, .shape = {kHuge}, .strides = {1}}));
  add("one_element_2_40_times", file({.count = 4, .shape = {1 << 20, 1 << 20}, .strides = {0, 0}}));
  add("wrapping_product", file({.count = 4, .shape = {kHuge, 4}, .strides = {0, 1}}));
  add("wrapping_strides", file({.count = 4, .shape = {2, 2}, .strides = {kHuge, kHuge}}));
  add("zero_beside_overflow", file({.count = 4, .shape = {0, kHuge, 8}, .strides = {0, 1, 1}}));
  add("text_of_4_gib", torch_bytes("}X\xff\xff\xff\xff", {{"0", data}}));
  add("remembered_at_2_32", torch_bytes("}r\xff\xff\xff\xff", {{"0", data}}));
  std::string copies =
      "}(" + pickle_text("t") + pickle_tensor({.count = 50'000, .shape = {50'000}, .strides = {1}});
  for (int i = 0; i < 200; ++i) {
    copies += pickle_text(fmt::format("{}", i)) +
              pickle_tensor({.count = 50'000, .shape = {50'000}, .strides = {1}});
  }
  add("one_storage_200_times", torch_bytes(copies + "u", {{"0", std::string(200'000, 'x')}}));
  lies.back().asked = 4096;  // of a file of 0.3 MB
  return lies;
}

std::vector<Lie> npz_lies() {
  std::vector<Lie> lies;
  const testing::TempFolder folder;
  write_npz(folder / "whole", {{"a", Tensor::full({4}, 1)}});
  const std::string whole = testing::read_bytes(folder / "whole");
  const Reader read = [](const auto& path) { read_npz(path); };
  const auto add = [&](const std::string& name, std::size_t behind, std::string_view value) {
    std::string bytes = whole;
    bytes.replace(bytes.find("PK\x01\x02") + behind, value.size(), value);
    lies.push_back({"npz_" + name, whole, bytes, read});
  };
  add("packed_size_of_4_gib", 20, "\xfe\xff\xff\xff");
  add("size_of_4_gib", 24, "\xfe\xff\xff\xff");
  add("both_sizes_of_4_gib", 20, "\xfe\xff\xff\xff\xfe\xff\xff\xff");
  add("begins_past_the_end", 42, "\xfe\xff\xff\xff");
  add("deflated_size_of_4_gib", 10,
      std::string_view("\x08\0\0\0\0\0\0\0\0\0\x20\0\0\0\xff\xff\xff\xff", 18));
  add("name_of_64_kib", 28, "\xff\xff");
  std::string many = whole;
  many.replace(many.rfind("PK\x05\x06") + 8, 4, "\xfe\xff\xfe\xff");
  lies.push_back({"npz_65534_members", whole, many, read});
  return lies;
}

std::vector<Lie> idx_lies() {
  std::vector<Lie> lies;
  const Reader read = [](const auto& path) { read_idx(path); };
  const auto header = [](std::initializer_list<std::uint32_t> dims) {
    std::string bytes = std::string("\0\0\x08", 3) + static_cast<char>(dims.size());
    for (const std::uint32_t dim : dims) testing::put_be(bytes, dim);
    return bytes;
  };
  const std::string whole = header({2, 3}) + "abcdef";
  const auto add = [&](const std::string& name, const std::string& bytes) {
    lies.push_back({"idx_" + name, whole, bytes, read});
    lies.push_back({"idx_gz_" + name, gzip(whole), gzip(bytes), read});
  };
  add("one_gib", header({0x40000000}) + "abc");
  add("largest", header({0xFFFFFFFF}) + "abc");
  add("wrapping_product", header({0x80000000, 0x80000000, 4}) + "abc");
  add("all_largest", header({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}) + "abc");
  add("one_byte_missing", header({2, 3}) + "abcde");
  add("255_dimensions", std::string("\0\0\x08\xff", 4) + std::string(1020, '\1'));
  return lies;
}

std::string png_chunk(const std::string& type, const std::string& content) {
  std::string bytes;
  testing::put_be(bytes, static_cast<std::uint32_t>(content.size()));
  const std::string body = type + content;
  const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size());
  bytes += body;
  testing::put_be(bytes, static_cast<std::uint32_t>(crc));
  return bytes;
}

std::string png_header(std::uint32_t width, std::uint32_t height, std::string_view form) {
  std::string content;
  testing::put_be(content, width);
  testing::put_be(content, height);
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", content + std::string(form));
}

std::vector<Lie> images_lies() {
  std::vector<Lie> lies;
  const testing::TempFolder folder;
  write_image(folder / "whole.png", Tensor::full({3, 2, 2}, 1, DType::u8));
  const std::string whole = testing::read_bytes(folder / "whole.png");
  const Reader read = [](const auto& path) { read_image(path); };
  const auto add = [&](const std::string& name, const std::string& bytes) {
    lies.push_back({"image_" + name, whole, bytes, read});
  };
  const std::string_view rgba16("\x10\x06\0\0\0", 5);
  const std::string_view bits("\x01\0\0\0\0", 5);
  const std::string none = png_chunk("IDAT", std::string("\x78\x9c\x03\0\0\0\0\x01", 8));
  add("png_2_31_by_2_31", png_header(0x7FFFFFFF, 0x7FFFFFFF, rgba16) + none);
  add("png_2_32_by_1", png_header(0xFFFFFFFF, 1, rgba16) + none);
  add("png_64_megapixels", png_header(8000, 8000, rgba16) + none);
  // So many bytes of another chunk that the claim is possible, until the pixels are asked for.
  const std::string padding = png_chunk("teSt", std::string(20'000, 'x'));
  add("png_64_megabits", png_header(8000, 8000, bits) + padding + none);
  lies.back().asked = 80 << 10;
  add("png_of_one_column", png_header(1, 64'000'000, bits) + padding + none);
  add("png_long_chunk", png_header(2, 2, bits) + std::string("\x7f\xff\xff\xff", 4) + "IDAT");
  add("png_text_bomb",
      png_header(2, 2, bits) +
          png_chunk("iCCP", std::string("k\0\0", 3) + gzip(std::string(1 << 20, 'x')).substr(10)));
  add("pnm_largest", "P6 4294967295 4294967295 65535\nabc");
  add("pnm_wrapping_product", "P5 65536 65537 255\nabc");
  add("pnm_64_megapixels", "P2 8000 8000 255\n1 2 3");
  return lies;
}

std::vector<Lie> gzip_lies() {
  std::vector<Lie> lies;
  constexpr std::size_t kBomb = std::size_t{32} << 20;
  const std::string whole = gzip("1,2,a\n");
  const std::string bomb = gzip(std::string(kBomb, '\0'));
  lies.push_back({"gzip_bomb_past_the_limit", whole, bomb,
                  [](const auto& path) { read_file_maybe_gzip(path, 1 << 20); }});
  lies.push_back({"csv_gz_bomb", whole, bomb, [](const auto& path) { read_csv(path); }});
  lies.push_back({"csv_gz_bomb_of_blank_lines", whole, gzip(std::string(kBomb, '\n')),
                  [](const auto& path) { read_csv(path); }});
  lies.push_back({"csv_gz_bomb_of_columns", whole, gzip(std::string(kBomb, ',')),
                  [](const auto& path) { read_csv(path); }});
  lies.push_back({"csv_open_quote", "1,2,a\n", "\"" + std::string(kBomb, 'x'),
                  [](const auto& path) { read_csv(path); }});
  return lies;
}

std::string outcome(const Reader& read, const std::filesystem::path& path) {
  try {
    read(path);
    return "read";
  } catch (const IoError& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("an exception that is no IoError: ") + error.what();
  }
}

void expect_refused_for_little(const std::vector<Lie>& lies) {
  const testing::TempFolder folder;
  testing::Cost worst;
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.name);
    testing::write_bytes(folder / "whole", lie.whole);
    testing::write_bytes(folder / "lie", lie.bytes);
    const testing::Cost cost = testing::cost_of(
        [&] {
          outcome(lie.read, folder / "whole");
          outcome(lie.read, folder / "none");
        },
        [&] { return outcome(lie.read, folder / "lie"); });
    EXPECT_EQ(outcome(lie.read, folder / "whole"), "read");
    EXPECT_EQ(cost.outcome.front(), '[') << cost.outcome;
    EXPECT_TRUE(testing::contains(cost.outcome, "lie'")) << cost.outcome;
    EXPECT_LT(cost.growth, testing::kGrowthLimit) << "KiB; " << cost.outcome;
    EXPECT_LE(cost.asked, lie.asked) << "KiB for tensors; " << cost.outcome;
    std::cout << lie.name << ": " << cost.milliseconds << " ms, " << cost.growth << " KiB\n";
    worst.milliseconds = std::max(worst.milliseconds, cost.milliseconds);
    worst.growth = std::max(worst.growth, cost.growth);
  }
  std::cout << lies.size() << " lies; to refuse one took at most " << worst.milliseconds
            << " ms and " << worst.growth << " KiB\n";
}

TEST(LyingHeader, safetensors_is_refused_for_little) {
  expect_refused_for_little(safetensors_lies());
}
TEST(LyingHeader, npy_is_refused_for_little) { expect_refused_for_little(npy_lies()); }
TEST(LyingHeader, npz_is_refused_for_little) { expect_refused_for_little(npz_lies()); }
TEST(LyingHeader, torch_is_refused_for_little) { expect_refused_for_little(torch_lies()); }
TEST(LyingHeader, idx_is_refused_for_little) { expect_refused_for_little(idx_lies()); }
TEST(LyingHeader, images_are_refused_for_little) { expect_refused_for_little(images_lies()); }
TEST(LyingHeader, gzip_bombs_are_refused_for_little) { expect_refused_for_little(gzip_lies()); }

}  // namespace
}  // namespace evenkeel::io
