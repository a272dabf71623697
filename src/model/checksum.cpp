#include <map>
#include <span>
#include <string_view>

#include <evenkeel/core/error.h>
#include <evenkeel/io/checksum.h>
#include <evenkeel/model/checksum.h>

namespace evenkeel::model {
namespace {

std::uint32_t add_text(std::uint32_t crc, std::string_view text) {
  return io::crc32c(std::as_bytes(std::span(text)), crc);
}

/// In the order of the names, for files do not keep another one.
std::string checksum(const io::TensorFile& file) {
  std::uint32_t crc = 0;
  for (const auto& [key, value] : file.metadata) {
    if (key != kChecksumKey) crc = add_text(crc, fmt::format("{}\n{}\n", key, value));
  }
  std::map<std::string, Tensor> sorted;
  for (const auto& [name, tensor] : file.tensors) sorted[name] = tensor;
  for (const auto& [name, tensor] : sorted) {
    crc = add_text(crc,
                   fmt::format("{}\n{} {}\n", name, name_of(tensor.dtype()), tensor.shape().str()));
    const Tensor plain = tensor.to(Layout::channels_first);
    crc = io::crc32c({static_cast<const std::byte*>(plain.raw()), plain.bytes()}, crc);
  }
  return fmt::format("{:08x}", crc);
}

}  // namespace

void add_checksum(io::TensorFile& file) {
  file.metadata.insert_or_assign(kChecksumKey, checksum(file));
}

void verify_checksum(const io::TensorFile& file, const std::filesystem::path& path) {
  const auto it = file.metadata.find(kChecksumKey);
  if (it == file.metadata.end() || it->second != checksum(file)) {
    fail<IoError>("[model] '{}' is damaged: its content does not match its checksum{}",
                  path.string(), it == file.metadata.end() ? " (it has none)" : "");
  }
}

}  // namespace evenkeel::model
