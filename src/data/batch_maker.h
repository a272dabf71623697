// One batch from named samples: gather, augment, normalize and lay out in a single pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <evenkeel/data/loader.h>

namespace evenkeel::data {

class BatchMaker {
 public:
  /// Checks the data set against the options: ShapeError where sizes do not fit, UsageError for
  /// options out of range.
  BatchMaker(const Dataset& dataset, const LoaderOptions& options);

  /// The samples `indices` in that order, augmented as in epoch `epoch`. Runs on the calling thread
  /// alone, so that preparing a batch never takes threads from the step that uses the one before.
  Batch make(std::span<const std::int64_t> indices, std::int64_t epoch) const;

 private:
  /// What an image shows of its source: row y and column x come from row y + down and column
  /// x + right (mirrored: from column width − 1 − x + right), and from padding outside.
  struct View {
    std::int64_t down = 0, right = 0;
    bool mirrored = false;
  };
  View pick_view(std::int64_t epoch, std::int64_t index) const;
  void write_sample(std::int64_t index, const View& view, float* out) const;
  void write_sequence(std::int64_t index, std::int64_t steps, float* out) const;
  Batch make_sequences(std::span<const std::int64_t> indices) const;
  template <class T, class Normalize>
  void write_channel(const T* plane, const View& view, Normalize&& normalize, float* out) const;

  Dataset dataset_;
  Augmentation augment_;
  std::uint64_t seed_;
  Layout layout_;
  DType dtype_;
  ChannelDims dims_;
  std::int64_t height_ = 0, width_ = 0;  ///< of a channel; what is no image is one row
  std::vector<float> mean_, stddev_;
  std::vector<float> of_byte_;  ///< [C, 256]: the normalized value of each byte
};

}  // namespace evenkeel::data
