// The data that experiments are made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <evenkeel/data/dataset.h>

namespace evenkeel::lab {

/// What an experiment needs of the data.
enum class Needs : std::uint8_t {
  features,   ///< anything that can be flattened: samples of one length
  images,     ///< [C, H, W]
  sequences,  ///< sequences of different lengths, or images, whose rows are steps then
};

/// A data set in three parts, and how its values are normalized.
struct Material {
  std::string spec;  ///< as --data names it
  data::Splits splits;
  data::Normalization normalization;

  /// At most so many samples of each part, the first ones, of parts in random order. 0: all.
  Material limited(std::int64_t train, std::int64_t validation, std::int64_t test) const;
  bool has_images() const { return splits.train.samples.rank() == 4; }
  bool has_sequences() const { return !splits.train.lengths.empty(); }
  Shape sample() const { return splits.train.sample_shape(); }
  std::int64_t classes() const { return splits.train.classes; }
};

/// Opens the data: a seventh of the training part, 10,000 samples at most, is held back for
/// choosing learning rates (the same samples for every seed). Each part is in random order, always
/// the same one, whatever order the files have. Throws what open_source does.
Material open_material(const std::string& spec);
/// Empty where the material serves, else why not: "needs images, and csv:... holds rows of 12
/// features".
std::string why_not(const Material& material, Needs needs);

/// Images read row by row, as sequences [features = C·W, T = H] of which each has a length of its
/// own: its rows are stretched or squeezed (linear interpolation) to a number of steps between half
/// and all of H, drawn by its index. Sequences stay as they are.
Material as_sequences(const Material& material);

/// value ← (value − 0.5)·contrast + 0.5 + brightness, on the scale where u8 is 0 to 1, and clipped
/// to it; what a camera's settings do to images. f32 samples are not clipped.
data::Dataset shifted(const data::Dataset& images, double contrast, double brightness);
/// Sorted by label; equal labels keep their order.
data::Dataset sorted_by_label(const data::Dataset& dataset);

}  // namespace evenkeel::lab
