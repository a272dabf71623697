#include "readers.h"
#include "support.h"
#include <evenkeel/io/idx.h>

namespace evenkeel::fuzz {
namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;

void read(std::string_view bytes) {
  io::Cifar batch;
  if (!accepts([&] { batch = io::read_cifar10(file_of(bytes)); })) return;
  check_tensor(batch.images, bytes.size());
  promise(batch.images.dim(0) == static_cast<std::int64_t>(batch.labels.size()),
          "{} images, {} labels", batch.images.dim(0), batch.labels.size());
  const auto* pixels = reinterpret_cast<const char*>(batch.images.data<std::uint8_t>());
  std::string again;
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    promise(batch.labels[i] >= 0 && batch.labels[i] <= 9, "the label {}", batch.labels[i]);
    again += static_cast<char>(batch.labels[i]);
    again.append(pixels + i * kPixels, kPixels);
  }
  promise(again == bytes, "the file differs once written");
}

std::vector<Seed> seeds() {
  const auto record = [](char label) { return label + std::string(kPixels, '\x7f'); };
  return {
      {"one", record('\0')},
      {"two", record('\5') + record('\x09')},
      {"label_10", record('\0') + record('\x0a')},
      {"cut", record('\0') + record('\1').substr(1)},
      {"empty", ""},
  };
}

}  // namespace

Target cifar10_target() { return {.reader = "cifar10", .read = read, .seeds = seeds}; }

}  // namespace evenkeel::fuzz
