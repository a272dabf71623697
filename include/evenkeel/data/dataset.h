// Labelled samples in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <evenkeel/core/tensor.h>

namespace evenkeel::data {

/// Samples and labels. Images are kept as u8 and scaled when a batch is made; rows of tables as
/// f32; sequences as f32 [N, features, T], padded to one length.
struct Dataset {
  Tensor samples;                    ///< [N, C, H, W] u8, or [N, features...] f32; channels first
  std::vector<std::int32_t> labels;  ///< N class numbers from 0
  /// Of sequences: how many steps of each are valid, 0 to T; the rest is padding, which nothing
  /// looks at. Empty where every sample is whole.
  std::vector<std::int64_t> lengths;
  std::int64_t classes = 0;
  std::vector<std::string> class_names;  ///< empty, or one per class

  std::int64_t size() const { return samples.defined() ? samples.dim(0) : 0; }
  /// Shape of one sample, e.g. [1, 28, 28].
  Shape sample_shape() const { return samples.shape().drop(1); }
  /// A view of samples [begin, end). ShapeError outside.
  Dataset slice(std::int64_t begin, std::int64_t end) const;
  /// A copy of the named samples, in that order. ShapeError for a number outside.
  Dataset select(const std::vector<std::int64_t>& indices) const;
};

/// The three parts of a data set. Validation is cut from the end of a seeded shuffle of the
/// training part; it is empty unless asked for.
struct Splits {
  Dataset train, validation, test;
};

/// Mean and standard deviation of the scaled values (u8 is scaled to [0, 1]) per channel or
/// feature, i.e. per index of the second dimension, padding left out; computed from the training
/// part and applied to every part.
struct Normalization {
  std::vector<float> mean, stddev;
};
/// The deviation is the biased one, and 1 where a channel never varies. ShapeError without samples,
/// NumericError for values that are not finite.
Normalization measure_normalization(const Dataset& train);

}  // namespace evenkeel::data
