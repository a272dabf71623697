#include <limits>

#include "io/atomic_writer.h"
#include "io/bytes.h"
#include "io/npy.h"
#include "io/zip.h"
#include <evenkeel/io/npy.h>

namespace evenkeel::io {
namespace {

constexpr std::string_view kSuffix = ".npy";

std::span<const std::byte> elements(const Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.raw()), tensor.bytes()};
}

std::map<std::string, Tensor> read_members(const InputFile& file) {
  std::map<std::string, Tensor> arrays;
  for (const ZipEntry& entry : read_zip_directory(file)) {
    const Origin origin = file.origin().part("member", entry.name);
    if (!entry.name.ends_with(kSuffix)) {
      origin.refuse("expected members called '<name>.npy', got another file");
    }
    ZipSource source(file, entry, origin);
    arrays.emplace(entry.name.substr(0, entry.name.size() - kSuffix.size()),
                   read_npy_from(source, origin));
  }
  return arrays;
}

}  // namespace

std::map<std::string, Tensor> read_npz(const std::filesystem::path& path) {
  const InputFile file(path, Origin("npz", path));
  try {
    return read_members(file);
  } catch (const std::bad_alloc&) {
    file.origin().refuse("not enough memory for its {} bytes", file.size());
  }
}

void write_npz(const std::filesystem::path& path, const std::map<std::string, Tensor>& arrays) {
  const Origin origin("npz", path);
  AtomicWriter writer(path);
  std::string directory;
  std::uint64_t position = 0;
  const auto put = [&](std::span<const std::byte> bytes) {
    writer.write(bytes);
    position += bytes.size();
  };
  for (const auto& [name, tensor] : arrays) {
    const Tensor stored = npy_storable(tensor, origin.part("array", name));
    const std::string header = npy_header_of(stored);
    ZipEntry entry;
    entry.name = name + std::string(kSuffix);
    if (entry.name.size() > std::numeric_limits<std::uint16_t>::max()) {
      origin.refuse("expected names of at most 65531 bytes, got {}", name.size());
    }
    entry.crc = zip_crc(elements(stored), zip_crc(as_bytes(header)));
    entry.size = header.size() + stored.bytes();
    directory += zip_directory_entry(entry, position);
    put(as_bytes(zip_local_header(entry)));
    put(as_bytes(header));
    put(elements(stored));
  }
  const std::string end = zip_end(arrays.size(), position, directory.size());
  put(as_bytes(directory));
  put(as_bytes(end));
  writer.commit();
}

}  // namespace evenkeel::io
