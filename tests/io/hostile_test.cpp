// Damaged files of every format: whatever the bytes, a reader reads or throws IoError.
#include <algorithm>
#include <random>

#include <gtest/gtest.h>
#include <zlib.h>

#include "io/io_testing.h"
#include "io/torch_file.h"
#include <evenkeel/io/idx.h>
#include <evenkeel/io/image.h>
#include <evenkeel/io/npy.h>
#include <evenkeel/io/safetensors.h>
#include <evenkeel/io/table.h>
#include <evenkeel/io/torch_checkpoint.h>

namespace evenkeel::io {
namespace {

using testing::TempFolder;

struct Format {
  const char* name;
  std::function<void(const std::filesystem::path&)> write;
  std::function<void(const std::filesystem::path&)> read;
};

Tensor sample(DType dtype = DType::f32) { return Tensor::full({2, 3}, 7, dtype); }

std::string idx_text() { return std::string("\0\0\x08\x02\0\0\0\x02\0\0\0\x03", 12) + "abcdef"; }

std::vector<Format> formats() {
  return {
      {"safetensors",
       [](const auto& path) {
         TensorFile content;
         content.tensors = {{"a", sample()}, {"b", sample(DType::i64)}};
         content.metadata = {{"key", "value"}};
         write_safetensors(path, content);
       },
       [](const auto& path) { read_safetensors(path); }},
      {"npy", [](const auto& path) { write_npy(path, sample(DType::f64)); },
       [](const auto& path) { read_npy(path); }},
      {"npz",
       [](const auto& path) {
         write_npz(path, {{"a", sample()}, {"b", sample(DType::u8)}});
       },
       [](const auto& path) { read_npz(path); }},
      {"pt",
       [](const auto& path) {
         testing::write_bytes(path, evenkeel::testing::torch_state_bytes({{"a", sample()}}));
       },
       [](const auto& path) { read_torch_checkpoint(path); }},
      {"idx", [](const auto& path) { testing::write_bytes(path, idx_text()); },
       [](const auto& path) { read_idx(path); }},
      {"idx.gz",
       [](const auto& path) {
         const std::string text = idx_text();
         gzFile out = gzopen(path.c_str(), "wb");
         gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
         gzclose(out);
       },
       [](const auto& path) { read_idx(path); }},
      {"csv",
       [](const auto& path) { testing::write_bytes(path, "x;\"y\";label\n1;2e3;a\n-.5;7;b\n"); },
       [](const auto& path) { read_csv(path); }},
      {"png",
       [](const auto& path) {
         write_image(path, Tensor::full({3, 5, 4}, 9, DType::u8));
       },
       [](const auto& path) { read_image(path); }},
      {"ppm", [](const auto& path) { testing::write_bytes(path, "P6 # c\n2 1\n255\nabcdef"); },
       [](const auto& path) { read_image(path); }},
      {"pgm", [](const auto& path) { testing::write_bytes(path, "P2 3 1 99 1 22 33\n"); },
       [](const auto& path) { read_image(path); }},
  };
}

/// Anything but success or IoError fails the test.
void try_to_read(const Format& format, testing::MemoryFile& file, const std::string& bytes,
                 const std::string& what) {
  file.set(bytes);
  try {
    format.read(file.path());
  } catch (const IoError&) {
  } catch (const std::exception& error) {
    ADD_FAILURE() << format.name << ", " << what
                  << ": an exception that is no IoError: " << error.what();
  }
}

class Hostile : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    const TempFolder folder;
    format_.write(folder / "file");
    whole_ = testing::read_bytes(folder / "file");
    file_.set(whole_);
    ASSERT_NO_THROW(format_.read(file_.path()));
  }

  Format format_ = formats().at(GetParam());
  testing::MemoryFile file_;
  std::string whole_;
};

TEST_P(Hostile, every_length) {
  for (std::size_t length = 0; length < whole_.size(); ++length) {
    try_to_read(format_, file_, whole_.substr(0, length), fmt::format("cut to {} bytes", length));
  }
}

TEST_P(Hostile, every_flipped_bit) {
  for (std::size_t bit = 0; bit < whole_.size() * 8; ++bit) {
    std::string bytes = whole_;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    try_to_read(format_, file_, bytes, fmt::format("bit {} flipped", bit));
  }
}

TEST_P(Hostile, every_byte_set_to_an_extreme) {
  for (const char extreme : {'\0', '\xff', '\x7f', '\x80', '9', '-', '"'}) {
    for (std::size_t i = 0; i < whole_.size(); ++i) {
      std::string bytes = whole_;
      bytes[i] = extreme;
      try_to_read(format_, file_, bytes, fmt::format("byte {} set to {:d}", i, extreme));
    }
  }
}

TEST_P(Hostile, random_damage_and_repetition) {
  std::mt19937 random(20);
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random()) % bound; };
  for (int round = 0; round < 500; ++round) {
    std::string bytes = whole_;
    for (std::size_t edits = 1 + below(6); edits > 0 && !bytes.empty(); --edits) {
      const std::size_t at = below(bytes.size());
      switch (below(4)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, below(9));
          break;
        case 2:
          bytes.insert(at, whole_.substr(below(whole_.size()), below(40)));
          break;
        default:
          bytes.insert(at, below(9), static_cast<char>(random()));
      }
    }
    try_to_read(format_, file_, bytes, fmt::format("round {}", round));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Hostile, ::testing::Range<std::size_t>(0, formats().size()),
                         [](const auto& format) {
                           std::string name = formats()[format.param].name;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace evenkeel::io
