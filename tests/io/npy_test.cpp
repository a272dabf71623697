#include <numeric>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "io/io_testing.h"
#include <evenkeel/io/npy.h>

namespace evenkeel::io {
namespace {

using testing::contains;
using testing::message_of;
using testing::npy_bytes;
using testing::same;
using testing::TempFolder;

class Npy : public ::testing::Test {
 protected:
  Tensor read_raw(const std::string& bytes) {
    testing::write_bytes(file_, bytes);
    return read_npy(file_);
  }
  Tensor read(std::string_view descr, std::string_view shape, std::string_view data,
              std::string_view fortran = "False") {
    return read_raw(npy_bytes(dictionary(descr, shape, fortran), data));
  }
  static std::string dictionary(std::string_view descr, std::string_view shape,
                                std::string_view fortran = "False") {
    return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}", descr, fortran,
                       shape);
  }
  std::string refusal(std::string_view descr, std::string_view shape, std::string_view data) {
    return message_of([&] { read(descr, shape, data); });
  }
  std::string header_refusal(std::string_view text) {
    return message_of([&] { read_raw(npy_bytes(text, std::string(24, '\0'))); });
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "x.npy";
};

TEST_F(Npy, the_written_bytes_are_those_of_numpy) {
  write_npy(file_, Tensor::from({1.0f, 2.0f, 3.0f}, {3}));
  const std::string bytes = testing::read_bytes(file_);
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
  text.append(117 - text.size(), ' ');
  EXPECT_EQ(bytes.substr(0, 128), std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text + '\n');
  EXPECT_EQ(bytes.size(), 128u + 12u);
}

TEST_F(Npy, every_dtype_comes_back_with_its_bits) {
  for (const Tensor& tensor :
       {Tensor::from({1.0f, -0.0f}, {2}), Tensor::from({1e300}, {1, 1}),
        Tensor::from({std::int64_t{-5}}, {1}), Tensor::from({std::int32_t{7}}, {}),
        Tensor::from({std::uint8_t{200}, std::uint8_t{1}}, {1, 2}), Tensor::zeros({0, 3})}) {
    write_npy(file_, tensor);
    EXPECT_TRUE(same(read_npy(file_), tensor)) << name_of(tensor.dtype());
  }
}

TEST_F(Npy, bf16_is_written_as_f32) {
  write_npy(file_, Tensor::from({bf16(1.5f)}, {1}));
  EXPECT_TRUE(same(read_npy(file_), Tensor::from({1.5f}, {1})));
}

TEST_F(Npy, channels_last_is_written_channels_first) {
  Tensor first = Tensor::empty({1, 2, 3});
  std::iota(first.span<float>().begin(), first.span<float>().end(), 0.0f);
  write_npy(file_, first.to(Layout::channels_last));
  EXPECT_TRUE(same(read_npy(file_), first));
}

TEST_F(Npy, small_types_are_widened) {
  const std::string_view bytes("\xff\x01\x02\x80", 4);
  EXPECT_TRUE(same(read("|i1", "(4,)", bytes), Tensor::from({-1, 1, 2, -128}, {4})));
  EXPECT_TRUE(same(read("<i2", "(2,)", bytes), Tensor::from({0x01ff, -32766}, {2})));
  EXPECT_TRUE(same(read("<u2", "(2,)", bytes), Tensor::from({0x01ff, 0x8002}, {2})));
  EXPECT_TRUE(same(read("<u4", "(1,)", bytes), Tensor::from({std::int64_t{0x800201ff}}, {1})));
  EXPECT_TRUE(
      same(read("<f2", "(1,)", std::string_view("\x00\x3c", 2)), Tensor::from({1.0f}, {1})));
  EXPECT_TRUE(same(read("|b1", "(2,)", std::string_view("\x00\x01", 2)),
                   Tensor::from({std::uint8_t{0}, std::uint8_t{1}}, {2})));
}

TEST_F(Npy, big_endian_numbers_are_swapped) {
  const std::string data("\x3f\x80\x00\x00\xc0\x00\x00\x00", 8);
  EXPECT_TRUE(same(read(">f4", "(2,)", data), Tensor::from({1.0f, -2.0f}, {2})));
  EXPECT_TRUE(
      same(read(">i2", "(1,)", std::string_view("\x01\x02", 2)), Tensor::from({0x0102}, {1})));
}

TEST_F(Npy, fortran_order_is_turned_into_c_order) {
  std::string data;
  for (int k = 0; k < 4; ++k) {
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 2; ++i) testing::put_le<std::int32_t>(data, 100 * i + 10 * j + k);
    }
  }
  const Tensor tensor = read("<i4", "(2, 3, 4)", data, "True");
  const auto values = tensor.span<std::int32_t>();
  for (std::size_t i = 0; i < 24; ++i) {
    EXPECT_EQ(values[i], static_cast<std::int32_t>(100 * (i / 12) + 10 * (i / 4 % 3) + i % 4));
  }
}

TEST_F(Npy, format_versions_two_and_three_have_longer_length_fields) {
  for (const char version : {'\x02', '\x03'}) {
    const std::string text = dictionary("|u1", "(2,)") + '\n';
    std::string bytes = std::string("\x93NUMPY") + version + '\0';
    testing::put_le(bytes, static_cast<std::uint32_t>(text.size()));
    EXPECT_EQ(read_raw(bytes + text + "ab").numel(), 2);
  }
}

TEST_F(Npy, other_spellings_of_the_header_are_understood) {
  EXPECT_EQ(
      read_raw(npy_bytes("{\"shape\":(2L,1L),\"fortran_order\":False,\"descr\":\"|u1\"}", "ab"))
          .shape(),
      (Shape{2, 1}));
  EXPECT_EQ(read("=u1", "()", "a").rank(), 0);
  EXPECT_EQ(read("|u1", "( 1 , 2 , )", "ab").shape(), (Shape{1, 2}));
}

TEST_F(Npy, a_zero_extent_does_not_hide_what_is_too_large_once_widened) {
  // Below 2^63 bytes in the file, beyond in memory.
  EXPECT_TRUE(contains(refusal("<f2", "(0, 1537228672809129301, 2)", ""), "63 bits"));
  EXPECT_EQ(read("<f4", "(0, 1537228672809129301)", "").numel(), 0);
}

TEST_F(Npy, the_message_names_file_expectation_and_finding) {
  EXPECT_EQ(refusal("<f4", "(3,)", "12345678"),
            "[npy] '" + file_.string() +
                "': expected 12 bytes for shape [3] of f4, got 8; the file is cut short");
  EXPECT_TRUE(contains(refusal("<f4", "(1,)", "12345678"), "expected 4 bytes for shape [1]"));
}

TEST_F(Npy, objects_structures_and_other_dtypes_are_refused_by_name) {
  EXPECT_TRUE(contains(refusal("|O", "(1,)", "x"), "Python objects"));
  EXPECT_TRUE(contains(refusal("<c8", "(1,)", "12345678"), "'<c8'"));
  EXPECT_TRUE(contains(refusal("<u8", "(1,)", "12345678"), "'<u8'"));
  EXPECT_TRUE(contains(refusal("f4", "(1,)", "1234"), "'f4'"));
  EXPECT_TRUE(contains(refusal("", "(1,)", "1234"), "''"));
  EXPECT_TRUE(
      contains(header_refusal("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}"),
               "structured"));
}

TEST_F(Npy, shapes_that_lie_are_refused_before_memory_is_taken) {
  for (const char* shape :
       {"(1000000000000,)", "(4294967296, 4294967296)", "(0, 9223372036854775807, 4)",
        "(99999999999999999999999,)", "(-1,)", "(1, -8)", "(1,1,1,1,1,1,1,1,1)", "(3)", "(1.5,)",
        "(a,)", "(1,,2)", "(1 2)", "(1,", "[1]", "None"}) {
    EXPECT_FALSE(refusal("<f4", shape, "1234").empty()) << shape;
  }
}

TEST_F(Npy, headers_of_another_form_are_refused) {
  for (const char* text :
       {"", "{", "{}", "x", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6,)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6,)} x",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (6,)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'more': 1}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (6,)}",
        "{descr: '<f4', 'fortran_order': False, 'shape': (6,)}",
        "__import__('os').system('true')"}) {
    EXPECT_FALSE(header_refusal(text).empty()) << text;
  }
}

TEST_F(Npy, magic_version_and_header_length_are_checked) {
  EXPECT_TRUE(contains(message_of([&] { read_raw("not an array at all"); }), "begins with"));
  EXPECT_TRUE(contains(
      message_of([&] { read_raw(std::string("\x93NUMPY\x04\x00\x02\x00{}", 12)); }), "got 4.0"));
  EXPECT_TRUE(contains(
      message_of([&] { read_raw(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14)); }),
      "header length of 4294967295"));
}

TEST_F(Npy, every_prefix_of_a_file_is_refused) {
  write_npy(file_, Tensor::from({1.0, 2.0}, {2}));
  const std::string whole = testing::read_bytes(file_);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(message_of([&] { read_raw(whole.substr(0, length)); }).empty()) << length;
  }
}

TEST_F(Npy, nothing_but_a_defined_tensor_is_written) {
  EXPECT_FALSE(message_of([&] { write_npy(file_, Tensor()); }).empty());
  EXPECT_FALSE(std::filesystem::exists(file_));
}

RC_GTEST_PROP(NpyProperty, any_array_comes_back, ()) {
  const TempFolder folder;
  const auto dims = *rc::gen::resize(
      5, rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 5)));
  const auto dtype = *rc::gen::element(DType::f32, DType::f64, DType::i64, DType::i32, DType::u8);
  Tensor tensor = Tensor::empty(Shape(std::span(dims)), dtype);
  auto* bytes = static_cast<unsigned char*>(tensor.raw());
  for (std::size_t i = 0; i < tensor.bytes(); ++i) bytes[i] = *rc::gen::arbitrary<unsigned char>();
  write_npy(folder / "x.npy", tensor);
  RC_ASSERT(same(read_npy(folder / "x.npy"), tensor));
}

}  // namespace
}  // namespace evenkeel::io
