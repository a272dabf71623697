#include "readers.h"
#include "repair.h"
#include "support.h"
#include <evenkeel/io/npy.h>

namespace evenkeel::fuzz {
namespace {

void read(std::string_view bytes) {
  Tensor tensor;
  if (!accepts([&] { tensor = io::read_npy(file_of(bytes)); })) return;
  check_tensor(tensor, 4 * bytes.size());  // i1 becomes i32
  const std::filesystem::path copy = work_folder() / "copy.npy";
  io::write_npy(copy, tensor);
  promise(same(tensor, io::read_npy(copy)), "the array differs once written");
}

std::string file(std::string_view dictionary, std::string_view data = {}, char version = 1) {
  const int length = version == 1 ? 2 : 4;
  return std::string("\x93NUMPY") + version + '\0' + little(dictionary.size() + 1, length) +
         std::string(dictionary) + '\n' + std::string(data);
}

std::string dictionary(std::string_view descr, std::string_view shape,
                       std::string_view order = "False") {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}", descr, order, shape);
}

std::vector<Seed> seeds() {
  const std::string data = "0123456789abcdef0123456789abcdef";
  std::vector<Seed> all;
  for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::i32, DType::u8}) {
    all.push_back(
        {fmt::format("ours_{}", name_of(dtype)), written("seed.npy", [&](const auto& path) {
           io::write_npy(path, Tensor::full({2, 3}, 3, dtype));
         })});
  }
  for (const std::string_view type : {"<f2", ">f2", "|b1", "|i1", "<i2", ">u2", "<u4"}) {
    const std::string size(type.substr(2));
    const std::size_t bytes = 4 * static_cast<std::size_t>(size[0] - '0');
    all.push_back({fmt::format("type_{}", type.substr(1)),
                   file(dictionary(type, "(2, 2)"), data.substr(0, bytes))});
  }
  const std::vector<Seed> others = {
      {"fortran", file(dictionary(">f4", "(2, 2, 2)", "True"), data)},
      {"version_2", file(dictionary("<f8", "(4,)"), data, 2)},
      {"version_3", file(dictionary("<f8", "(4,)"), data, 3)},
      {"scalar", file(dictionary("<f8", "()"), data.substr(0, 8))},
      {"none", file(dictionary("<f8", "(0, 5)"))},
      {"objects", file(dictionary("|O", "(4,)"), data)},
      {"wrapping", file(dictionary("<f8", "(4294967296, 4294967296)"), data)},
      {"largest", file(dictionary("|u1", "(18446744073709551615,)"), data)},
      {"zero_hides_overflow", file(dictionary("<f4", "(0, 9223372036854775807, 3)"))},
      {"negative", file(dictionary("<f4", "(-1, -8)"), data)},
      {"many_dimensions", file(dictionary("|u1", "(1,1,1,1,1,1,1,1,1,1,1,1,1,32)"), data)},
      {"long_header", file(dictionary("<f8", "(4,)") + std::string(4000, ' '), data)},
      {"header_of_4_GiB", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + data},
  };
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

}  // namespace

Target npy_target() {
  return {.reader = "npy", .read = read, .seeds = seeds, .repair = repair_npy};
}

}  // namespace evenkeel::fuzz
