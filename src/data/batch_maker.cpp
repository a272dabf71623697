#include "data/batch_maker.h"

#include <algorithm>
#include <cstddef>

namespace evenkeel::data {
namespace {

constexpr std::uint64_t kAugmentStream = 1;  // stream 0 orders the samples

void check(const Dataset& dataset, const LoaderOptions& options) {
  const auto labels = static_cast<std::int64_t>(dataset.labels.size());
  if (dataset.size() != labels) {
    fail<ShapeError>("[loader] expected one label per sample, got {} samples and {} labels",
                     dataset.size(), labels);
  }
  const DType dtype = dataset.samples.dtype();
  if (dtype != DType::u8 && dtype != DType::f32) {
    fail<ShapeError>("[loader] expected samples of type u8 or f32, got {}; convert them first",
                     name_of(dtype));
  }
  if (options.batch_size < 1) {
    fail<UsageError>("[loader] expected a batch size of at least 1, got {}", options.batch_size);
  }
  if ((options.augment.flip || options.augment.crop != 0) && dataset.samples.rank() != 4) {
    fail<UsageError>(
        "[loader] expected images [N, C, H, W] for flips and crops, got samples of shape {}; "
        "switch augmentation off for this data",
        dataset.samples.shape().str());
  }
  if (options.augment.crop == 0) return;
  const std::int64_t side = std::min(dataset.samples.dim(2), dataset.samples.dim(3));
  if (options.augment.crop < 0 || options.augment.crop > side) {
    fail<UsageError>("[loader] expected a crop padding from 0 to the image's side of {}, got {}",
                     side, options.augment.crop);
  }
}

void check_lengths(const Dataset& dataset) {
  if (dataset.lengths.empty()) return;
  const Tensor& samples = dataset.samples;
  const auto count = static_cast<std::int64_t>(dataset.lengths.size());
  if (samples.rank() != 3 || samples.dtype() != DType::f32 || count != dataset.size()) {
    fail<ShapeError>(
        "[loader] expected sequences f32 [N, features, T] with one length each, got samples {} of "
        "type {} and {} lengths",
        samples.shape().str(), name_of(samples.dtype()), count);
  }
  for (std::size_t i = 0; i < dataset.lengths.size(); ++i) {
    if (dataset.lengths[i] < 0 || dataset.lengths[i] > samples.dim(2)) {
      fail<ShapeError>("[loader] expected lengths from 0 to {}, got {} for sequence {}",
                       samples.dim(2), dataset.lengths[i], i);
    }
  }
}

void check(const Normalization& normalization, std::int64_t channels) {
  const std::size_t mean = normalization.mean.size();
  const std::size_t stddev = normalization.stddev.size();
  const auto wanted = static_cast<std::size_t>(channels);
  if (mean == stddev && (mean == wanted || mean == 0)) return;
  fail<ShapeError>(
      "[loader] expected {} means and standard deviations, one per channel or feature, got {} and "
      "{}; use the ones measured on data of the same kind",
      channels, mean, stddev);
}

}  // namespace

BatchMaker::BatchMaker(const Dataset& dataset, const LoaderOptions& options)
    : dataset_(dataset),
      augment_(options.augment),
      seed_(options.seed),
      layout_(options.layout),
      dtype_(options.dtype) {
  check(dataset, options);
  check_lengths(dataset);
  dataset_.samples = dataset.samples.to(Layout::channels_first);
  const Shape& shape = dataset_.samples.shape();
  dims_ = channel_dims(shape, "loader");
  check(options.normalization, dims_.c);
  height_ = shape.rank() == 4 ? shape[2] : 1;
  width_ = shape.rank() == 4 ? shape[3] : dims_.s;
  mean_ = options.normalization.mean;
  stddev_ = options.normalization.stddev;
  mean_.resize(static_cast<std::size_t>(dims_.c), 0.0F);
  stddev_.resize(static_cast<std::size_t>(dims_.c), 1.0F);
  if (dataset_.samples.dtype() == DType::u8) {
    of_byte_.resize(static_cast<std::size_t>(dims_.c) * 256);
    for (std::size_t i = 0; i < of_byte_.size(); ++i) {
      of_byte_[i] = (static_cast<float>(i % 256) / 255.0F - mean_[i / 256]) / stddev_[i / 256];
    }
  }
}

BatchMaker::View BatchMaker::pick_view(std::int64_t epoch, std::int64_t index) const {
  View view;
  if (!augment_.flip && augment_.crop == 0) return view;
  Random random = Random(seed_, kAugmentStream)
                      .fork(static_cast<std::uint64_t>(epoch))
                      .fork(static_cast<std::uint64_t>(index));
  // Drawn whether it is used or not, so that crops stay the same when flips are switched on.
  view.mirrored = random.below(2) == 1 && augment_.flip;
  const auto places = static_cast<std::uint64_t>(2 * augment_.crop + 1);
  view.down = static_cast<std::int64_t>(random.below(places)) - augment_.crop;
  view.right = static_cast<std::int64_t>(random.below(places)) - augment_.crop;
  return view;
}

template <class T, class Normalize>
void BatchMaker::write_channel(const T* plane, const View& view, Normalize&& normalize,
                               float* out) const {
  const std::int64_t step = layout_ == Layout::channels_first ? 1 : dims_.c;
  // Columns [begin, end) come from the source, first from `start`, then onwards or back from there.
  const std::int64_t right = view.mirrored ? -view.right : view.right;
  const std::int64_t begin = std::clamp<std::int64_t>(-right, 0, width_);
  const std::int64_t end = std::clamp<std::int64_t>(width_ - right, begin, width_);
  const std::int64_t start = view.mirrored ? width_ - 1 - begin + view.right : begin + view.right;
  const std::int64_t stride = view.mirrored ? -1 : 1;
  const float padding = normalize(T{0});
  for (std::int64_t y = 0; y < height_; ++y, out += width_ * step) {
    const std::int64_t from = y + view.down;
    const bool inside = begin < end && from >= 0 && from < height_;
    const std::int64_t first = inside ? begin : width_;
    const std::int64_t last = inside ? end : width_;
    const T* row = plane + (inside ? from * width_ + start : 0);
    for (std::int64_t x = 0; x < first; ++x) out[x * step] = padding;
    for (std::int64_t x = first; x < last; ++x) {
      out[x * step] = normalize(row[(x - first) * stride]);
    }
    for (std::int64_t x = last; x < width_; ++x) out[x * step] = padding;
  }
}

void BatchMaker::write_sample(std::int64_t index, const View& view, float* out) const {
  const std::int64_t first = index * dims_.c * dims_.s;
  const std::int64_t step = layout_ == Layout::channels_first ? dims_.s : 1;
  for (std::int64_t c = 0; c < dims_.c; ++c) {
    if (dataset_.samples.dtype() == DType::u8) {
      const auto* plane = dataset_.samples.data<std::uint8_t>() + first + c * dims_.s;
      const float* table = of_byte_.data() + c * 256;
      write_channel(
          plane, view, [table](std::uint8_t v) { return table[v]; }, out + c * step);
    } else {
      const auto* plane = dataset_.samples.data<float>() + first + c * dims_.s;
      const float mean = mean_[static_cast<std::size_t>(c)];
      const float stddev = stddev_[static_cast<std::size_t>(c)];
      write_channel(
          plane, view, [mean, stddev](float v) { return (v - mean) / stddev; }, out + c * step);
    }
  }
}

void BatchMaker::write_sequence(std::int64_t index, std::int64_t steps, float* out) const {
  const auto* from = dataset_.samples.data<float>() + index * dims_.c * dims_.s;
  const std::int64_t valid = dataset_.lengths[static_cast<std::size_t>(index)];
  const bool last = layout_ == Layout::channels_last;
  for (std::int64_t c = 0; c < dims_.c; ++c, from += dims_.s) {
    float* const to = last ? out + c : out + c * steps;
    const std::int64_t stride = last ? dims_.c : 1;
    const float mean = mean_[static_cast<std::size_t>(c)];
    const float stddev = stddev_[static_cast<std::size_t>(c)];
    for (std::int64_t t = 0; t < valid; ++t) to[t * stride] = (from[t] - mean) / stddev;
    for (std::int64_t t = valid; t < steps; ++t) to[t * stride] = 0.0F;
  }
}

Batch BatchMaker::make_sequences(std::span<const std::int64_t> indices) const {
  Batch batch;
  std::int64_t steps = 0;
  for (const std::int64_t index : indices) {
    const auto i = static_cast<std::size_t>(index);
    batch.labels.push_back(dataset_.labels[i]);
    batch.lengths.push_back(dataset_.lengths[i]);
    steps = std::max(steps, dataset_.lengths[i]);
  }
  batch.x = Tensor::empty({batch.size(), dims_.c, steps}, DType::f32, layout_);
  auto* out = batch.x.data<float>();
  for (const std::int64_t index : indices) {
    write_sequence(index, steps, out);
    out += dims_.c * steps;
  }
  batch.x = batch.x.to(dtype_);
  return batch;
}

Batch BatchMaker::make(std::span<const std::int64_t> indices, std::int64_t epoch) const {
  if (!dataset_.lengths.empty()) return make_sequences(indices);
  Batch batch;
  const auto count = static_cast<std::int64_t>(indices.size());
  batch.x = Tensor::empty(dataset_.samples.shape().with(0, count), DType::f32, layout_);
  batch.labels.reserve(indices.size());
  auto* out = batch.x.data<float>();
  for (const std::int64_t index : indices) {
    write_sample(index, pick_view(epoch, index), out);
    out += dims_.c * dims_.s;
    batch.labels.push_back(dataset_.labels[static_cast<std::size_t>(index)]);
  }
  batch.x = batch.x.to(dtype_);
  return batch;
}

}  // namespace evenkeel::data
