// Files to be classified, as samples that fit a network.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <evenkeel/core/tensor.h>

namespace evenkeel::app {

struct FileSamples {
  Tensor samples;         ///< [N, input...]: u8 for images of 0 to 255, else f32
  bool is_image = false;  ///< one image, not a table of rows
  std::string note;       ///< what was changed to make it fit, or ""
  std::vector<std::int64_t> lengths = {};  ///< of sequences; empty otherwise
};

/// PNG, PGM and PPM images, .csv rows with or without a label column, .npy arrays of one sample or
/// [N, input...], .txt sequences of any length (io/sequences.h). Throws IoError for what cannot be read, ShapeError for what does not fit `input`.
FileSamples read_samples(const std::filesystem::path& path, const Shape& input);

}  // namespace evenkeel::app
