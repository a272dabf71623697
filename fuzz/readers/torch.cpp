#include <set>

#include "io/torch_file.h"
#include "io/zip.h"
#include "readers.h"
#include "repair.h"
#include "support.h"
#include <evenkeel/io/torch_checkpoint.h>

namespace evenkeel::fuzz {
namespace {

using namespace evenkeel::testing;

void read(std::string_view bytes) {
  io::TorchCheckpoint checkpoint;
  if (!accepts([&] { checkpoint = io::read_torch_checkpoint(file_of(bytes)); })) return;
  std::set<const void*> seen;
  std::uint64_t total = 0;
  for (const io::TensorDict& dict : checkpoint.dicts) {
    promise(!dict.tensors.empty(), "a dict without tensors is listed");
    for (const auto& [name, tensor] : dict.tensors) {
      check_tensor(tensor, 4 * bytes.size());
      promise(tensor.layout() == Layout::channels_first, "'{}' is not channels first", name);
      if (seen.insert(tensor.raw()).second) total += tensor.bytes();
    }
  }
  promise(total <= 4 * bytes.size(), "{} bytes of tensors from {}", total, bytes.size());
}

std::string view(std::vector<std::int64_t> shape, std::vector<std::int64_t> strides) {
  return pickle_tensor({.count = 6, .shape = std::move(shape), .strides = std::move(strides)});
}

std::vector<Seed> seeds() {
  const std::string six(24, '\x40');
  const auto file = [&](const std::string& value) { return torch_bytes(value, {{"0", six}}); };
  const std::string list_of_itself = std::string("]q\x01h\x01", 5) + "a";
  const std::string protocol4 =
      std::string("\x80\x04\x95\x10\0\0\0\0\0\0\0", 11) + "}\x8c\x01x\x94\x8c\x0c" +
      "torch._utils\x94\x8c\x12_rebuild_tensor_v2\x93((\x8c\x07storage\x8c\x05torch\x8c\x0c" +
      "FloatStorage\x93\x8c\x01" + "0\x8c\x03" + "cpuK\x06tQ" +
      std::string("K\x00K\x02K\x03\x86K\x03K\x01\x86\x89}tRs.", 19);
  return {
      {"state_dict", torch_state_bytes({{"0.weight", Tensor::full({2, 3}, 1)},
                                        {"0.bias", Tensor::full({2}, 2, DType::f64)},
                                        {"1.half", Tensor::full({3}, 2, DType::bf16)},
                                        {"1.num_batches_tracked", Tensor::full({}, 7, DType::i64)},
                                        {"none", Tensor::zeros({0, 3})}})},
      {"nested", file(pickle_dict({{"epoch", pickle_integer(3)},
                                   {"model", pickle_ordered_dict({{"w", view({6}, {1})}})},
                                   {"list", pickle_list({view({2}, {1}), "N", "\x88"})}}))},
      {"transposed", file(pickle_dict({{"x", view({3, 2}, {1, 3})}}))},
      {"half", torch_bytes(pickle_tensor({"HalfStorage", "0", 2, 0, {2}, {1}}), {{"0", "abcd"}})},
      {"wide",
       torch_bytes(pickle_tensor({"CharStorage", "0", 4, 0, {2, 2}, {2, 1}}), {{"0", "abcd"}})},
      {"expanded", file(pickle_dict({{"x", view({std::int64_t{1} << 40}, {0})}}))},
      {"beyond", file(pickle_dict({{"x", view({2}, {std::int64_t{1} << 62})}}))},
      {"parameter", file(pickle_name("torch._utils", "_rebuild_parameter") +
                         pickle_tuple({view({6}, {1}), "\x88", "}"}) + "R")},
      {"protocol4",
       zip_bytes({{"a/data.pkl", protocol4}, {"a/byteorder", "little"}, {"a/data/0", six}})},
      {"itself", file(list_of_itself)},
      {"calls", file(pickle_name("os", "system") + pickle_tuple({pickle_text("x")}) + "R")},
      {"no_data", torch_bytes(pickle_dict({{"x", view({6}, {1})}}), {})},
      {"old", std::string("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9", 9)},
  };
}

}  // namespace

Target torch_target() {
  return {.reader = "torch", .read = read, .seeds = seeds, .repair = repair_zip};
}

}  // namespace evenkeel::fuzz
