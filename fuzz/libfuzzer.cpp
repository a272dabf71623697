// A target as libFuzzer wants it; the reader is chosen when this is compiled.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "readers/readers.h"
#include "support.h"

// Declared by libFuzzer itself.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t room);

namespace {

using evenkeel::fuzz::Target;

const Target& target() {
  static const Target chosen = evenkeel::fuzz::EVENKEEL_FUZZ_TARGET();
  return chosen;
}

std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

std::size_t put(const std::string& bytes, std::uint8_t* data, std::size_t size, std::size_t room) {
  if (bytes.empty() || bytes.size() > room) return size;
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}

/// Mutates what a compressed file holds; the file as it is where it holds nothing.
std::size_t mutate_inside(std::uint8_t* data, std::size_t size, std::size_t room) {
  std::optional<std::string> inside = target().unpack(text_of(data, size));
  if (!inside) return LLVMFuzzerMutate(data, size, room);
  const std::size_t before = inside->size();
  inside->resize(before + 64);
  inside->resize(
      LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(inside->data()), before, inside->size()));
  return put(target().pack(*inside), data, size, room);
}

}  // namespace

/// Writes the seeds into the folder that EVENKEEL_FUZZ_SEEDS names, for libFuzzer to begin with.
extern "C" int LLVMFuzzerInitialize(int* /*count*/, char*** /*words*/) {
  const char* folder = std::getenv("EVENKEEL_FUZZ_SEEDS");
  if (folder == nullptr) return 0;
  for (const auto& [name, bytes] : target().seeds()) {
    evenkeel::fuzz::write_bytes(std::filesystem::path(folder) / name, bytes);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target().read(text_of(data, size));
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t room, unsigned seed) {
  if (target().unpack != nullptr && seed % 2 == 0) return mutate_inside(data, size, room);
  size = LLVMFuzzerMutate(data, size, room);
  if (target().repair == nullptr || seed % 4 == 3) return size;
  std::string bytes(text_of(data, size));
  target().repair(bytes);
  return put(bytes, data, size, room);
}
