#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "io/io_testing.h"
#include <evenkeel/io/safetensors.h>

namespace evenkeel::io {
namespace {

using testing::contains;
using testing::message_of;
using testing::safetensors_bytes;
using testing::same;
using testing::TempFolder;

class Safetensors : public ::testing::Test {
 protected:
  TensorFile read(std::string_view header, std::string_view data) {
    return read_raw(safetensors_bytes(header, data));
  }
  TensorFile read_raw(const std::string& bytes) {
    testing::write_bytes(file_, bytes);
    return read_safetensors(file_);
  }
  std::string refusal(std::string_view header, std::string_view data) {
    return message_of([&] { read(header, data); });
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "a file.safetensors";
};

const std::string kEight(8, '\0');

TEST_F(Safetensors, every_dtype_comes_back_with_its_bits) {
  TensorFile content;
  content.tensors = {
      {"f32", Tensor::from({1.0f, -0.0f, std::nanf("7"), INFINITY}, {2, 2})},
      {"f64", Tensor::from({1e300, -5e-324}, {2})},
      {"bf16", Tensor::from({bf16(1.5f), bf16(-3.0f)}, {2, 1})},
      {"i64", Tensor::from({std::numeric_limits<std::int64_t>::min()}, {1})},
      {"i32", Tensor::from({std::int32_t{-7}}, {1, 1, 1})},
      {"u8", Tensor::from({std::uint8_t{255}, std::uint8_t{0}, std::uint8_t{3}}, {3})},
      {"scalar", Tensor::from({2.5f}, {})},
      {"empty", Tensor::zeros({0, 4})},
  };
  content.metadata = {{"format", "evenkeel"}, {"note", "a \"quoted\"\nμ"}};
  write_safetensors(file_, content);
  const TensorFile back = read_safetensors(file_);
  ASSERT_EQ(back.tensors.size(), content.tensors.size());
  for (std::size_t i = 0; i < content.tensors.size(); ++i) {
    EXPECT_EQ(back.tensors[i].first, content.tensors[i].first);
    EXPECT_TRUE(same(back.tensors[i].second, content.tensors[i].second)) << back.tensors[i].first;
  }
  EXPECT_EQ(back.metadata, content.metadata);
}

TEST_F(Safetensors, find_gives_the_named_tensor_or_nothing) {
  TensorFile content;
  content.tensors = {{"a", Tensor::zeros({1})}, {"b", Tensor::full({1}, 3)}};
  ASSERT_NE(content.find("b"), nullptr);
  EXPECT_EQ(content.find("b")->item(), 3);
  EXPECT_EQ(content.find("c"), nullptr);
}

TEST_F(Safetensors, the_header_is_padded_with_spaces_to_eight_bytes) {
  TensorFile content;
  content.tensors = {{"abc", Tensor::zeros({3})}};
  write_safetensors(file_, content);
  const std::string bytes = testing::read_bytes(file_);
  const auto length = static_cast<unsigned char>(bytes[0]);
  EXPECT_EQ(length % 8, 0);
  EXPECT_EQ(bytes.substr(8, length),
            R"({"abc":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})" + std::string(7, ' '));
  EXPECT_EQ(bytes.size(), 8u + length + 12u);
}

TEST_F(Safetensors, channels_last_tensors_are_written_channels_first) {
  Tensor first = Tensor::empty({2, 3, 2, 2});
  for (int i = 0; i < 24; ++i)
    first.span<float>()[static_cast<std::size_t>(i)] = static_cast<float>(i);
  TensorFile content;
  content.tensors = {{"w", first.to(Layout::channels_last)}};
  write_safetensors(file_, content);
  const TensorFile back = read_safetensors(file_);
  EXPECT_EQ(back.tensors[0].second.layout(), Layout::channels_first);
  EXPECT_TRUE(same(back.tensors[0].second, first));
}

TEST_F(Safetensors, half_precision_is_widened_exactly) {
  const std::string data("\x00\x3c\x01\x00\xff\x7b\x00\xfc\x00\x80\x00\x38", 12);
  const auto back = read(R"({"h":{"dtype":"F16","shape":[6],"data_offsets":[0,12]}})", data);
  const auto values = back.tensors[0].second.span<float>();
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], 0x1p-24f);
  EXPECT_EQ(values[2], 65504.0f);
  EXPECT_EQ(values[3], -INFINITY);
  EXPECT_EQ(values[4], 0.0f);
  EXPECT_TRUE(std::signbit(values[4]));
  EXPECT_EQ(values[5], 0.5f);
}

TEST_F(Safetensors, tensors_come_in_the_order_of_their_data) {
  const auto back = read(R"({"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]},)"
                         R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                         kEight);
  EXPECT_EQ(back.tensors[0].first, "a");
  EXPECT_EQ(back.tensors[1].first, "b");
}

TEST_F(Safetensors, a_header_without_tensors_is_an_empty_file) {
  EXPECT_TRUE(read("{}", "").tensors.empty());
  EXPECT_EQ(read(R"({"__metadata__":{"k":"v"}}  )", "").metadata.at("k"), "v");
}

TEST_F(Safetensors, the_message_names_file_tensor_expectation_and_finding) {
  const std::string message =
      refusal(R"({"layer.w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", kEight);
  EXPECT_EQ(message, "[safetensors] '" + file_.string() +
                         "': tensor 'layer.w': expected 12 bytes for shape [3] of F32, got "
                         "data_offsets [0, 8]");
}

TEST_F(Safetensors, holes_overlaps_and_ends_outside_are_refused) {
  EXPECT_TRUE(contains(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", kEight),
                       "leave holes"));
  EXPECT_TRUE(contains(refusal(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},)"
                               R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                               kEight),
                       "overlap"));
  EXPECT_TRUE(contains(refusal(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", kEight),
                       "cut short"));
  EXPECT_TRUE(contains(refusal(R"({"a":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}})", kEight),
                       "expected 7 bytes"));
  EXPECT_TRUE(contains(refusal(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[8,6]}})", kEight),
                       "data_offsets [8, 6]"));
}

TEST_F(Safetensors, sizes_that_wrap_are_refused) {
  for (const char* shape : {"[4294967296,4294967296]", "[0,9223372036854775807,3]",
                            "[18446744073709551615]", "[1,1,1,1,1,1,1,1,1]"}) {
    const std::string header =
        std::string(R"({"a":{"dtype":"U8","shape":)") + shape + R"(,"data_offsets":[0,0]}})";
    EXPECT_TRUE(contains(refusal(header, ""), "tensor 'a'")) << shape;
  }
  EXPECT_TRUE(contains(
      refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,0]}})", ""),
      "expected 1 bytes"));
}

TEST_F(Safetensors, a_name_that_comes_twice_is_refused) {
  const std::string entry = R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_TRUE(contains(refusal("{" + entry + "," + entry + "}", ""), "'a' comes twice"));
  EXPECT_TRUE(
      contains(refusal(R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", ""),
               "dtype comes twice"));
  EXPECT_TRUE(contains(refusal(R"({"__metadata__":{},"__metadata__":{}})", ""), "comes twice"));
  EXPECT_TRUE(contains(refusal(R"({"__metadata__":{"k":"1","k":"2"}})", ""), "'k' comes twice"));
}

TEST_F(Safetensors, a_name_has_at_most_1024_bytes) {
  TensorFile content;
  content.tensors = {{std::string(1024, 'n'), Tensor::zeros({1})}};
  write_safetensors(file_, content);
  EXPECT_EQ(read_safetensors(file_).tensors.front().first.size(), 1024u);
  content.tensors.front().first += 'n';
  EXPECT_TRUE(contains(message_of([&] { write_safetensors(file_, content); }), "at most 1024"));
  const std::string header =
      R"({")" + std::string(1025, 'n') + R"(":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_TRUE(contains(refusal(header, kEight), "at most 1024 bytes, got 'nnn"));
}

TEST_F(Safetensors, known_and_unknown_dtypes_are_refused_by_name) {
  const auto with = [&](const std::string& dtype) {
    return refusal(R"({"a":{"dtype":")" + dtype + R"(","shape":[8],"data_offsets":[0,8]}})",
                   kEight);
  };
  EXPECT_TRUE(contains(with("I8"), "the unsupported 'I8'"));
  EXPECT_TRUE(contains(with("Q8"), "the unknown 'Q8'"));
}

TEST_F(Safetensors, headers_of_another_form_are_refused) {
  for (const char* header :
       {"",
        "[]",
        "null",
        "1",
        "{",
        "{}}",
        "{}x",
        " {}",
        "{'a':1}",
        R"({"a":1})",
        R"({"a":[]})",
        R"({"a":null})",
        R"({"a":{}})",
        R"({"a":{"dtype":"U8"}})",
        R"({"a":{"dtype":1,"shape":[],"data_offsets":[0,1]}})",
        R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})",
        R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})",
        R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})",
        R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})",
        R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})",
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})",
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})",
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":{"0":1}}})",
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,99999999999999999999]}})",
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})",
        R"({"__metadata__":1})",
        R"({"__metadata__":{"a":1}})",
        R"({"__metadata__":{"a":{}}})",
        R"({"__metadata__":[]})",
        "{\"\xff\":1}"}) {
    EXPECT_TRUE(contains(refusal(header, "x"), "[safetensors]")) << header;
  }
}

TEST_F(Safetensors, bytes_behind_a_zero_in_the_header_are_seen) {
  EXPECT_TRUE(contains(refusal(std::string_view("{}\0junk", 7), ""), "zero byte"));
}

TEST_F(Safetensors, deep_nesting_is_refused_without_following_it) {
  EXPECT_TRUE(contains(refusal(R"({"a":)" + std::string(3'000'000, '['), ""), "got a list"));
  std::string objects;
  for (int i = 0; i < 500'000; ++i) objects += R"({"a":)";
  EXPECT_TRUE(contains(refusal(objects, ""), "got 'a'"));
}

TEST_F(Safetensors, lengths_that_lie_are_refused_before_memory_is_taken) {
  for (const std::uint64_t length :
       {std::uint64_t{1} << 31, ~std::uint64_t{0}, ~std::uint64_t{0} >> 1, std::uint64_t{3}}) {
    std::string bytes;
    testing::put_le(bytes, length);
    EXPECT_TRUE(contains(message_of([&] { read_raw(bytes + "{}"); }), "header length of"));
  }
}

TEST_F(Safetensors, a_refused_file_has_taken_no_memory_for_tensors) {
  reset_peak_memory();
  const std::size_t before = memory_stats().peak;
  const std::string data(1 << 16, 'x');
  refusal(R"({"a":{"dtype":"U8","shape":[65536],"data_offsets":[0,65536]},)"
          R"("b":{"dtype":"U8","shape":[65536],"data_offsets":[0,65536]}})",
          data);
  refusal(R"({"a":{"dtype":"U8","shape":[65535],"data_offsets":[0,65535]}})", data);
  EXPECT_EQ(memory_stats().peak, before);
}

TEST_F(Safetensors, every_prefix_of_a_file_is_refused) {
  TensorFile content;
  content.tensors = {{"a", Tensor::zeros({5})}, {"b", Tensor::zeros({3}, DType::f64)}};
  content.metadata = {{"k", "v"}};
  write_safetensors(file_, content);
  const std::string whole = testing::read_bytes(file_);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(message_of([&] { read_raw(whole.substr(0, length)); }).empty()) << length;
  }
}

TEST_F(Safetensors, what_cannot_be_written_leaves_the_old_file) {
  TensorFile good;
  good.tensors = {{"a", Tensor::zeros({1})}};
  write_safetensors(file_, good);
  const std::string before = testing::read_bytes(file_);
  for (const auto& tensors : std::vector<std::vector<std::pair<std::string, Tensor>>>{
           {{"a", Tensor::zeros({1})}, {"a", Tensor::zeros({1})}},
           {{"__metadata__", Tensor::zeros({1})}},
           {{"a", Tensor()}},
           {{"\xff", Tensor::zeros({1})}}}) {
    TensorFile bad;
    bad.tensors = tensors;
    EXPECT_FALSE(message_of([&] { write_safetensors(file_, bad); }).empty());
    EXPECT_EQ(testing::read_bytes(file_), before);
  }
  EXPECT_EQ(folder_.count(), 1u);
}

RC_GTEST_PROP(SafetensorsProperty, any_tensors_come_back, ()) {
  const TempFolder folder;
  const auto path = folder / "x.safetensors";
  TensorFile content;
  const auto names = *rc::gen::unique<std::vector<std::string>>(
      rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127))));
  for (const std::string& name : names) {
    const auto dims = *rc::gen::resize(
        4, rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 5)));
    const auto dtype =
        *rc::gen::element(DType::f32, DType::f64, DType::bf16, DType::i64, DType::i32, DType::u8);
    Tensor tensor = Tensor::empty(Shape(std::span(dims)), dtype);
    auto* bytes = static_cast<unsigned char*>(tensor.raw());
    for (std::size_t i = 0; i < tensor.bytes(); ++i)
      bytes[i] = *rc::gen::arbitrary<unsigned char>();
    content.tensors.emplace_back(name, tensor);
  }
  write_safetensors(path, content);
  const TensorFile back = read_safetensors(path);
  RC_ASSERT(back.tensors.size() == content.tensors.size());
  for (const auto& [name, tensor] : content.tensors) {
    RC_ASSERT(back.find(name) != nullptr);
    RC_ASSERT(same(*back.find(name), tensor));
  }
}

}  // namespace
}  // namespace evenkeel::io
