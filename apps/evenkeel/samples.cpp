#include "samples.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/io/image.h>
#include <evenkeel/io/npy.h>
#include <evenkeel/io/sequences.h>
#include <evenkeel/io/table.h>

namespace evenkeel::app {
namespace {

namespace fs = std::filesystem;

/// [count, input...]
Shape batch_of(std::int64_t count, const Shape& input) {
  std::vector<std::int64_t> dims{count};
  dims.insert(dims.end(), input.dims().begin(), input.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

FileSamples read_picture(const fs::path& path, const Shape& input) {
  if (input.rank() != 3 || (input[0] != 1 && input[0] != 3)) {
    fail<ShapeError>(
        "[predict] '{}' is an image, but the network takes samples of shape {}; give .csv or .npy "
        "rows",
        path.string(), input.str());
  }
  const Tensor image = io::read_image(path);
  FileSamples result;
  result.is_image = true;
  if (image.dim(1) != input[1] || image.dim(2) != input[2]) {
    result.note = fmt::format("resized from {}x{}", image.dim(1), image.dim(2));
  }
  if (image.dim(0) != input[0]) {
    result.note += result.note.empty() ? "" : ", ";
    result.note += input[0] == 1 ? "turned grey" : "grey turned to RGB";
  }
  result.samples =
      io::convert_image(image, input[0], input[1], input[2]).reshape(batch_of(1, input));
  return result;
}

/// The features of a table; a label column beyond them is left out.
Tensor read_features(const fs::path& path, std::int64_t wanted) {
  std::int64_t found = 0;
  for (const char* label : {"none", ""}) {
    try {
      const io::Table table = io::read_csv(path, {.label = label});
      if (table.values.dim(1) == wanted) return table.values;
      if (found == 0) found = table.values.dim(1);
    } catch (const IoError&) {
      if (*label == '\0') throw;  // a label that is a word is no fault of a table with labels
    }
  }
  fail<ShapeError>(
      "[predict] '{}' has {} columns, but the network takes {} values{}; give rows like those of "
      "training",
      path.string(), found, wanted, found == 0 ? "" : " (and a label at most)");
}

FileSamples read_table(const fs::path& path, const Shape& input) {
  const Tensor values = read_features(path, input.numel());
  return {values.reshape(batch_of(values.dim(0), input)), false, ""};
}

FileSamples read_array(const fs::path& path, const Shape& input) {
  const Tensor array = io::read_npy(path);
  const bool one = array.shape() == input;
  const bool many = array.rank() >= 1 && (array.shape().drop(1) == input ||
                                          array.shape().drop(1).numel() == input.numel());
  if (!one && !many) {
    fail<ShapeError>(
        "[predict] '{}' has shape {}, but the network takes {}; give one such sample, or [N, ...] "
        "of them",
        path.string(), array.shape().str(), input.str());
  }
  const Tensor samples = array.reshape(batch_of(one ? 1 : array.dim(0), input));
  const bool picture = samples.dtype() == DType::u8 && input.rank() == 3;
  return {picture ? samples : samples.to(DType::f32), false, ""};
}

/// Sequences padded to the longest of the file.
FileSamples read_steps(const fs::path& path, const Shape& input) {
  const io::Sequences all = io::read_any_sequences(path);
  if (input.rank() != 2 || all.features != input[0]) {
    fail<ShapeError>(
        "[predict] '{}' holds sequences of {} values per step, but the network takes samples of "
        "shape {}; give data like what it was trained on",
        path.string(), all.features, input.str());
  }
  const auto count = static_cast<std::int64_t>(all.lengths.size());
  const std::int64_t steps = std::ranges::max(all.lengths);
  FileSamples result;
  result.samples = Tensor::zeros({count, all.features, steps});
  result.lengths = all.lengths;
  const float* value = all.values.data();
  for (std::int64_t n = 0; n < count; ++n) {
    float* const out = result.samples.data<float>() + n * all.features * steps;
    for (std::int64_t t = 0; t < all.lengths[static_cast<std::size_t>(n)]; ++t) {
      for (std::int64_t c = 0; c < all.features; ++c) out[c * steps + t] = *value++;
    }
  }
  return result;
}

struct Reader {
  std::string_view extension;
  FileSamples (*read)(const fs::path& path, const Shape& input);
};

constexpr std::array<Reader, 6> kReaders{{{".png", read_picture},
                                          {".pgm", read_picture},
                                          {".ppm", read_picture},
                                          {".csv", read_table},
                                          {".npy", read_array},
                                          {".txt", read_steps}}};

}  // namespace

FileSamples read_samples(const fs::path& path, const Shape& input) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    fail<IoError>("[predict] there is no file '{}'", path.string());
  }
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const Reader& reader : kReaders) {
    if (reader.extension == extension) return reader.read(path, input);
  }
  fail<IoError>(
      "[predict] '{}' is neither an image (.png, .pgm, .ppm) nor a table (.csv, .npy) nor "
      "sequences "
      "(.txt)",
      path.string());
}

}  // namespace evenkeel::app
