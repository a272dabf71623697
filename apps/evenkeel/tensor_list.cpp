#include "tensor_list.h"

#include <fmt/format.h>

#include "text.h"
#include "value_range.h"
#include <evenkeel/io/npy.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/io/torch_checkpoint.h>

namespace evenkeel::app {
namespace {

namespace fs = std::filesystem;
using Tensors = std::vector<std::pair<std::string, Tensor>>;

Tensors read_tensors(const fs::path& path) {
  if (path.extension() == ".npy") return {{path.stem().string(), io::read_npy(path)}};
  if (path.extension() == ".npz") {
    Tensors tensors;
    for (auto& [name, tensor] : io::read_npz(path)) tensors.emplace_back(name, tensor);
    return tensors;
  }
  if (io::is_torch_checkpoint(path)) {
    Tensors tensors;
    for (auto& dict : io::read_torch_checkpoint(path).dicts) {
      const std::string prefix = dict.path.empty() ? "" : dict.path + "/";
      for (auto& [name, tensor] : dict.tensors) tensors.emplace_back(prefix + name, tensor);
    }
    return tensors;
  }
  return io::read_safetensors(path).tensors;
}

}  // namespace

bool holds_only_tensors(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  if (path.extension() == ".npy" || path.extension() == ".npz") return true;
  if (io::is_torch_checkpoint(path)) return true;
  if (path.extension() != ".safetensors") return false;
  return io::read_safetensors(path).metadata.count("evenkeel.format") == 0;
}

int list_tensors(const fs::path& path, bool json) {
  const Tensors tensors = read_tensors(path);
  Table table({{"tensor"}, {"type"}, {"shape"}, {"elements", Table::Align::right}, {"values"}});
  Json list = Json::array();
  std::int64_t elements = 0;
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) {
    const ValueRange range = range_of(tensor);
    table.add({name, std::string(name_of(tensor.dtype())), tensor.shape().str(),
               grouped(tensor.numel()), text_of(range)});
    Json entry{{"name", name},
               {"type", name_of(tensor.dtype())},
               {"shape", to_json(tensor.shape())},
               {"values", to_json(range)}};
    list.push_back(std::move(entry));
    elements += tensor.numel();
    bytes += tensor.bytes();
  }
  if (json) {
    print_json(Json{{"path", path.string()}, {"tensors", std::move(list)}});
  } else {
    print(table.str() + fmt::format("\n{} tensors, {} elements, {}\n", tensors.size(),
                                    grouped(elements), bytes_text(bytes)));
  }
  return 0;
}

}  // namespace evenkeel::app
