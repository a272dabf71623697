// Batches: shuffled, augmented, normalized, prefetched.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <evenkeel/core/random.h>
#include <evenkeel/data/dataset.h>

namespace evenkeel::data {

struct Batch {
  Tensor x;  ///< [n, C, H, W] or [n, features...], normalized, of the loader's dtype
  std::vector<std::int32_t> labels;  ///< n
  /// Of sequences: the valid steps of x [n, features, T], where T is the longest of this batch and
  /// padding is zero. Empty where every sample is whole.
  std::vector<std::int64_t> lengths;
  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
};

/// Augmentation of training images; each sample draws from a stream named by (seed, epoch, index),
/// so that neither threads nor the order of batches change it.
struct Augmentation {
  bool flip = false;      ///< mirror left–right with probability ½
  std::int64_t crop = 0;  ///< pad by this many raw zeros on each side, then crop at random
};

enum class LastBatch : std::uint8_t {
  keep,     ///< shorter than the others; a single sample is dropped (it has no variance)
  drop,     ///< drop a short last batch
  keep_all  ///< never drop; for evaluation
};

struct LoaderOptions {
  std::int64_t batch_size = 64;
  bool shuffle = false;
  LastBatch last = LastBatch::keep_all;
  Augmentation augment = {};
  Normalization normalization = {};
  Layout layout = Layout::channels_first;
  DType dtype = DType::f32;  ///< of x; f32 or bf16
  std::uint64_t seed = 0;
  bool prefetch = true;  ///< prepare the next batch on another thread while this one is used
};

/// Iterates over a data set. The order of epoch e depends on (seed, e) only; start() may begin
/// inside an epoch, so that a run resumes exactly where it stopped.
class Loader {
 public:
  /// Keeps views of the samples, not a copy. Throws ShapeError where labels, normalization (empty:
  /// only the scaling of bytes) or the samples' type do not fit, UsageError for options out of
  /// range.
  Loader(const Dataset& dataset, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::int64_t batches_per_epoch() const;
  const LoaderOptions& options() const;
  /// Begins epoch `epoch` at batch `first_batch`; an epoch under way is abandoned. UsageError for a
  /// negative epoch or a batch beyond the end.
  void start(std::int64_t epoch, std::int64_t first_batch = 0);
  /// The next batch, or false at the end of the epoch. The batch's memory is the caller's. Rethrows
  /// what the preparing thread threw; StateError before start().
  bool next(Batch& batch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace evenkeel::data
