#include <algorithm>
#include <charconv>

#include "readers.h"
#include "repair.h"
#include "support.h"
#include <evenkeel/io/safetensors.h>

namespace evenkeel::fuzz {
namespace {

void read(std::string_view bytes) {
  io::TensorFile content;
  if (!accepts([&] { content = io::read_safetensors(file_of(bytes)); })) return;
  std::uint64_t total = 0;
  for (const auto& [name, tensor] : content.tensors) {
    check_tensor(tensor, 2 * bytes.size());  // F16 becomes f32
    promise(content.find(name) != nullptr, "'{}' is read and not found", name);
    total += tensor.bytes();
  }
  promise(total <= 2 * bytes.size(), "{} bytes of tensors from {}", total, bytes.size());

  const std::filesystem::path copy = work_folder() / "copy.safetensors";
  io::write_safetensors(copy, content);
  const io::TensorFile again = io::read_safetensors(copy);
  promise(again.metadata == content.metadata, "metadata differs once written");
  promise(again.tensors.size() == content.tensors.size(), "{} tensors, {} once written",
          content.tensors.size(), again.tensors.size());
  for (std::size_t i = 0; i < again.tensors.size(); ++i) {
    promise(again.tensors[i].first == content.tensors[i].first &&
                same(again.tensors[i].second, content.tensors[i].second),
            "tensor {} differs once written", i);
  }
}

std::string file(std::string_view header, std::string_view data = {}) {
  return little(header.size(), 8) + std::string(header) + std::string(data);
}

std::string of_our_writer() {
  io::TensorFile content;
  content.tensors = {{"weight", Tensor::full({2, 3}, 1.5, DType::f32)},
                     {"mean", Tensor::full({3}, -0.0, DType::f64)},
                     {"half", Tensor::full({4}, 2, DType::bf16)},
                     {"count", Tensor::full(Shape{}, 7, DType::i64)},
                     {"bytes", Tensor::full({5}, 200, DType::u8)},
                     {"none", Tensor::zeros({0, 3}, DType::i32)}};
  content.metadata = {{"format", "evenkeel"}, {"é\n\"", "\\ \t"}};
  return written("seed.safetensors",
                 [&](const auto& path) { io::write_safetensors(path, content); });
}

std::vector<Seed> seeds() {
  const std::string one = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string data(8, '\x40');
  const auto shaped = [&](const std::string& shape, const std::string& offsets) {
    return file(R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}",
                data);
  };
  std::string deep = R"({"a":)" + std::string(2000, '[');
  return {
      {"ours", of_our_writer()},
      {"one", file(one, data)},
      {"empty", file("{}")},
      {"f16", file(R"({"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}})", data)},
      {"backwards", file(R"({"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]},)"
                         R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                         data)},
      {"overlap", file(R"({"b":{"dtype":"U8","shape":[6],"data_offsets":[2,8]},)"
                       R"("a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}})",
                       data)},
      {"same_range", file(R"({"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)"
                          R"("a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
                          data)},
      {"twice", file(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                     R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                     data)},
      {"wrapping_shape", shaped("[4294967296,4294967296,2]", "[0,8]")},
      {"wrapping_to_zero", shaped("[9223372036854775808,2]", "[0,0]")},
      {"zero_hides_overflow", shaped("[0,9223372036854775807,9223372036854775807]", "[0,0]")},
      {"largest_offset", shaped("[2]", "[18446744073709551608,18446744073709551615]")},
      {"past_64_bits", shaped("[2]", "[0,18446744073709551624]")},
      {"negative", shaped("[-2]", "[0,8]")},
      {"fraction", shaped("[2.0]", "[0,8]")},
      {"many_dimensions", shaped("[1,1,1,1,1,1,1,1,1,1,1,1,2]", "[0,8]")},
      {"longest_header", little(~std::uint64_t{0}, 8) + one},
      {"header_of_2^63", little(std::uint64_t{1} << 63, 8) + one},
      {"deep", file(deep, {})},
      {"not_utf8",
       file("{\"\xff\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", data)},
      {"unknown_type", file(R"({"a":{"dtype":"C128","shape":[],"data_offsets":[0,8]}})", data)},
  };
}

}  // namespace

Target safetensors_target() {
  return {.reader = "safetensors", .read = read, .seeds = seeds, .repair = repair_safetensors};
}

}  // namespace evenkeel::fuzz
