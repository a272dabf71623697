// Files as torch.save writes them, made by hand: the pickle from its instructions, the zip around
// it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/zip.h"
#include <evenkeel/core/tensor.h>

namespace evenkeel::testing {

template <class T>
std::string little_endian(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

// Instructions that leave one value on the stack.

inline std::string pickle_text(std::string_view text) {
  return "X" + little_endian(static_cast<std::uint32_t>(text.size())) + std::string(text);
}
inline std::string pickle_integer(std::int64_t value) { return "\x8a\x08" + little_endian(value); }
inline std::string pickle_name(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string pickle_tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}
inline std::string pickle_tuple(const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> items;
  for (const std::int64_t number : numbers) items.push_back(pickle_integer(number));
  return pickle_tuple(items);
}
inline std::string pickle_list(const std::vector<std::string>& items) {
  std::string out = "](";
  for (const std::string& item : items) out += item;
  return out + "e";
}
inline std::string pickle_dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = "}(";
  for (const auto& [key, value] : entries) out += pickle_text(key) + value;
  return out + "u";
}
/// As state_dict() gives it, with the attribute that it carries.
inline std::string pickle_ordered_dict(
    const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = pickle_name("collections", "OrderedDict") + ")R(";
  for (const auto& [key, value] : entries) out += pickle_text(key) + value;
  return out + "u}" + pickle_text("_metadata") + "}sb";
}

/// A view of a storage.
struct TorchView {
  std::string storage = "FloatStorage";
  std::string key = "0";
  std::int64_t count = 0;  ///< of the storage
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape, strides;
};
inline std::string pickle_tensor(const TorchView& view) {
  const std::string storage =
      pickle_tuple({pickle_text("storage"), pickle_name("torch", view.storage),
                    pickle_text(view.key), pickle_text("cpu"), pickle_integer(view.count)}) +
      "Q";
  return pickle_name("torch._utils", "_rebuild_tensor_v2") +
         pickle_tuple({storage, pickle_integer(view.offset), pickle_tuple(view.shape),
                       pickle_tuple(view.strides), "\x89",
                       pickle_name("collections", "OrderedDict") + ")R"}) +
         "R";
}

/// Members that are stored as they are.
inline std::string zip_bytes(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out, directory;
  for (const auto& [name, content] : members) {
    io::ZipEntry entry;
    entry.name = name;
    entry.size = entry.compressed_size = content.size();
    entry.crc = io::zip_crc(std::as_bytes(std::span(content)));
    directory += io::zip_directory_entry(entry, out.size());
    out += io::zip_local_header(entry) + content;
  }
  return out + directory + io::zip_end(members.size(), out.size(), directory.size());
}

/// The file around a value's instructions; storages by key.
inline std::string torch_bytes(const std::string& value,
                               const std::vector<std::pair<std::string, std::string>>& storages) {
  std::vector<std::pair<std::string, std::string>> members{
      {"archive/data.pkl", std::string("\x80\x02", 2) + value + "."}};
  for (const auto& [key, content] : storages) members.emplace_back("archive/data/" + key, content);
  members.emplace_back("archive/version", "3\n");
  return zip_bytes(members);
}

/// What torch.save(state_dict) gives of contiguous tensors.
inline std::string torch_state_bytes(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  std::vector<std::pair<std::string, std::string>> entries, storages;
  for (const auto& [name, tensor] : tensors) {
    TorchView view;
    view.storage = tensor.dtype() == DType::f64    ? "DoubleStorage"
                   : tensor.dtype() == DType::i64  ? "LongStorage"
                   : tensor.dtype() == DType::bf16 ? "BFloat16Storage"
                                                   : "FloatStorage";
    view.key = std::to_string(storages.size());
    view.count = tensor.numel();
    std::int64_t stride = 1;
    for (int d = tensor.rank() - 1; d >= 0; --d) {
      view.shape.insert(view.shape.begin(), tensor.dim(d));
      view.strides.insert(view.strides.begin(), stride);
      stride *= tensor.dim(d);
    }
    const Tensor plain = tensor.to(Layout::channels_first);
    storages.emplace_back(view.key,
                          std::string(static_cast<const char*>(plain.raw()), plain.bytes()));
    entries.emplace_back(name, pickle_tensor(view));
  }
  return torch_bytes(pickle_ordered_dict(entries), storages);
}

}  // namespace evenkeel::testing
