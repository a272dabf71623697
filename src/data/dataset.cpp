#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <numeric>

#include <evenkeel/core/parallel.h>
#include <evenkeel/data/dataset.h>

namespace evenkeel::data {
namespace {

constexpr std::int64_t kByteValues = 256;
constexpr std::int64_t kSamplesPerTask = 1024;

void store(Normalization& result, std::int64_t channel, double mean, double variance) {
  const auto c = static_cast<std::size_t>(channel);
  const auto stddev = static_cast<float>(std::sqrt(variance));
  result.mean[c] = static_cast<float>(mean);
  // A channel that never varies carries nothing; dividing by 1 turns it into zeros.
  result.stddev[c] = stddev > 0.0F ? stddev : 1.0F;
}

/// How often each byte occurs in each channel: [channels, 256].
std::vector<std::int64_t> count_bytes(const Tensor& samples, const ChannelDims& dims) {
  const auto cells = static_cast<std::size_t>(dims.c * kByteValues);
  const std::int64_t tasks = (dims.n + kSamplesPerTask - 1) / kSamplesPerTask;
  std::vector<std::vector<std::int64_t>> parts(static_cast<std::size_t>(tasks));
  const auto* bytes = samples.data<std::uint8_t>();
  parallel_for(tasks, kSamplesPerTask * dims.c * dims.s, [&](std::int64_t task) {
    auto& part = parts[static_cast<std::size_t>(task)];
    part.assign(cells, 0);
    const std::int64_t end = std::min(dims.n, (task + 1) * kSamplesPerTask);
    for (std::int64_t row = task * kSamplesPerTask * dims.c; row < end * dims.c; ++row) {
      std::int64_t* histogram = part.data() + row % dims.c * kByteValues;
      const std::uint8_t* values = bytes + row * dims.s;
      for (std::int64_t i = 0; i < dims.s; ++i) ++histogram[values[i]];
    }
  });
  std::vector<std::int64_t> total(cells, 0);
  for (const auto& part : parts) {
    std::transform(total.begin(), total.end(), part.begin(), total.begin(), std::plus<>());
  }
  return total;
}

/// Exact up to the final roundings: the sums run over 256 values, not over millions of pixels.
void measure_bytes(const Tensor& samples, const ChannelDims& dims, Normalization& result) {
  const std::vector<std::int64_t> counts = count_bytes(samples, dims);
  const auto n = static_cast<double>(dims.n * dims.s);
  for (std::int64_t c = 0; c < dims.c; ++c) {
    const std::int64_t* histogram = counts.data() + c * kByteValues;
    double sum = 0;
    for (std::int64_t v = 0; v < kByteValues; ++v) {
      sum += static_cast<double>(v) * static_cast<double>(histogram[v]);
    }
    const double mean = sum / n;
    double squares = 0;
    for (std::int64_t v = 0; v < kByteValues; ++v) {
      const double d = static_cast<double>(v) - mean;
      squares += static_cast<double>(histogram[v]) * d * d;
    }
    // A constant channel has an integer mean, hence exactly no squares.
    store(result, c, mean / 255.0, squares / n / (255.0 * 255.0));
  }
}

/// Positions of each sample before its padding.
std::vector<std::int64_t> valid_positions(const Dataset& dataset, const ChannelDims& dims) {
  if (!dataset.lengths.empty()) return dataset.lengths;
  return std::vector<std::int64_t>(static_cast<std::size_t>(dims.n), dims.s);
}

void measure_floats(const Tensor& samples, const ChannelDims& dims,
                    const std::vector<std::int64_t>& valid, Normalization& result) {
  const auto* values = samples.data<float>();
  const auto n = static_cast<double>(std::accumulate(valid.begin(), valid.end(), std::int64_t{0}));
  const auto first =
      std::find_if(valid.begin(), valid.end(), [](auto v) { return v > 0; }) - valid.begin();
  parallel_for(dims.c, dims.n * dims.s, [&](std::int64_t c) {
    const auto each = [&](auto&& visit) {
      for (std::int64_t i = 0; i < dims.n; ++i) {
        const float* row = values + (i * dims.c + c) * dims.s;
        const std::int64_t end = valid[static_cast<std::size_t>(i)];
        for (std::int64_t s = 0; s < end; ++s) visit(static_cast<double>(row[s]));
      }
    };
    // Sums of differences from one value, so that a constant channel has exactly no variance.
    const auto origin = static_cast<double>(values[(first * dims.c + c) * dims.s]);
    double sum = 0;
    each([&](double v) { sum += v - origin; });
    const double shift = sum / n;
    double squares = 0;
    each([&](double v) { squares += (v - origin - shift) * (v - origin - shift); });
    if (!std::isfinite(squares)) {
      fail<NumericError>(
          "[normalization] expected finite values, got NaN or infinity in channel or feature {}; "
          "remove or replace the samples that hold them",
          c);
    }
    store(result, c, origin + shift, squares / n);
  });
}

}  // namespace

Dataset Dataset::slice(std::int64_t begin, std::int64_t end) const {
  Dataset part;
  part.samples = samples.slice(begin, end);
  part.labels.assign(labels.begin() + begin, labels.begin() + end);
  if (!lengths.empty()) part.lengths.assign(lengths.begin() + begin, lengths.begin() + end);
  part.classes = classes;
  part.class_names = class_names;
  return part;
}

Dataset Dataset::select(const std::vector<std::int64_t>& indices) const {
  for (const std::int64_t index : indices) {
    if (index < 0 || index >= size()) {
      fail<ShapeError>("[dataset] expected sample numbers from 0 to {}, got {}", size() - 1, index);
    }
  }
  Dataset part;
  part.classes = classes;
  part.class_names = class_names;
  const auto count = static_cast<std::int64_t>(indices.size());
  part.samples = Tensor::empty(samples.shape().with(0, count), samples.dtype(), samples.layout());
  part.labels.reserve(indices.size());
  const std::size_t stride =
      static_cast<std::size_t>(sample_shape().numel()) * size_of(samples.dtype());
  const auto* from = static_cast<const std::byte*>(samples.raw());
  auto* to = static_cast<std::byte*>(part.samples.raw());
  for (const std::int64_t index : indices) {
    if (stride > 0) std::memcpy(to, from + static_cast<std::size_t>(index) * stride, stride);
    to += stride;
    part.labels.push_back(labels[static_cast<std::size_t>(index)]);
    if (!lengths.empty()) part.lengths.push_back(lengths[static_cast<std::size_t>(index)]);
  }
  return part;
}

Normalization measure_normalization(const Dataset& train) {
  const Tensor samples = train.samples.to(Layout::channels_first);
  const ChannelDims dims = channel_dims(samples.shape(), "normalization");
  const std::vector<std::int64_t> valid = valid_positions(train, dims);
  if (std::all_of(valid.begin(), valid.end(), [](auto v) { return v == 0; })) {
    fail<ShapeError>("[normalization] expected at least one sample, got samples of shape {}",
                     samples.shape().str());
  }
  Normalization result;
  result.mean.resize(static_cast<std::size_t>(dims.c));
  result.stddev.resize(static_cast<std::size_t>(dims.c));
  if (samples.dtype() == DType::u8) {
    measure_bytes(samples, dims, result);
  } else {
    measure_floats(samples, dims, valid, result);
  }
  return result;
}

}  // namespace evenkeel::data
