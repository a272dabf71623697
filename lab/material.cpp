#include "lab/material.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <evenkeel/core/error.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/source.h>

namespace evenkeel::lab {
namespace {

constexpr double kHeldBack = 1.0 / 7;
constexpr std::int64_t kMostHeldBack = 10'000;
constexpr std::uint64_t kLengthStream = 0x6c656e67746873;
constexpr std::uint64_t kOrderStream = 0x6f72646572;

data::Dataset first(const data::Dataset& dataset, std::int64_t count) {
  return count > 0 && count < dataset.size() ? dataset.slice(0, count) : dataset;
}

/// In an order of its own: open_source shuffles the parts to train on and to choose by alone.
data::Dataset shuffled(const data::Dataset& dataset) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), 0);
  const Random random(1, kOrderStream);
  for (std::size_t i = order.size(); i > 1; --i) {
    const std::uint64_t draw = random.block(i)[0];
    std::swap(order[i - 1], order[draw % i]);
  }
  return dataset.select(order);
}

double scaled(const Tensor& samples, std::int64_t i) {
  if (samples.dtype() == DType::u8) {
    return static_cast<double>(samples.data<std::uint8_t>()[i]) / 255;
  }
  return static_cast<double>(samples.data<float>()[i]);
}

/// Rows of an image, as steps: position `at` between two of them.
data::Dataset rows_as_steps(const data::Dataset& images, std::uint64_t stream) {
  const Shape& shape = images.samples.shape();
  const std::int64_t n = shape[0], channels = shape[1], height = shape[2], width = shape[3];
  const std::int64_t features = channels * width;
  data::Dataset result;
  result.samples = Tensor::zeros({n, features, height});
  result.labels = images.labels;
  result.classes = images.classes;
  result.class_names = images.class_names;
  result.lengths.resize(static_cast<std::size_t>(n));
  float* const out = result.samples.data<float>();
  const Random random(stream, kLengthStream);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t least = std::max<std::int64_t>(1, height / 2);
    const std::uint32_t draw = random.block(static_cast<std::uint64_t>(i))[0];
    const std::int64_t length = least + draw % (height - least + 1);
    result.lengths[static_cast<std::size_t>(i)] = length;
    for (std::int64_t t = 0; t < length; ++t) {
      const double at =
          length == 1 ? 0 : static_cast<double>(t * (height - 1)) / static_cast<double>(length - 1);
      const auto above = static_cast<std::int64_t>(at);
      const std::int64_t below = std::min(above + 1, height - 1);
      const double share = at - static_cast<double>(above);
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int64_t plane = (i * channels + c) * height * width;
        for (std::int64_t w = 0; w < width; ++w) {
          const double value = (1 - share) * scaled(images.samples, plane + above * width + w) +
                               share * scaled(images.samples, plane + below * width + w);
          out[(i * features + c * width + w) * height + t] = static_cast<float>(value);
        }
      }
    }
  }
  return result;
}

}  // namespace

Material Material::limited(std::int64_t train, std::int64_t validation, std::int64_t test) const {
  Material result = *this;
  result.splits.train = first(splits.train, train);
  result.splits.validation = first(splits.validation, validation);
  result.splits.test = first(splits.test, test);
  return result;
}

Material open_material(const std::string& spec) {
  Material material;
  material.spec = spec;
  material.splits = data::open_source(spec, {.validation = kHeldBack, .seed = 1});
  data::Dataset& held_back = material.splits.validation;
  held_back = first(held_back, kMostHeldBack);
  material.splits.test = shuffled(material.splits.test);
  if (material.splits.train.size() < 64 || held_back.size() < 8 ||
      material.splits.test.size() < 8) {
    fail<UsageError>(
        "[lab] expected 64 training samples and 8 each to choose by and to test on, '{}' has {}, "
        "{} "
        "and {}; give a larger data set",
        spec, material.splits.train.size(), held_back.size(), material.splits.test.size());
  }
  material.normalization = data::measure_normalization(material.splits.train);
  return material;
}

std::string why_not(const Material& material, Needs needs) {
  const bool images = material.has_images(), sequences = material.has_sequences();
  std::string_view wanted;
  switch (needs) {
    case Needs::features:
      if (sequences) wanted = "samples of one length";
      break;
    case Needs::images:
      if (!images) wanted = "images";
      break;
    case Needs::sequences:
      if (!images && !sequences) wanted = "sequences or images";
      break;
  }
  if (wanted.empty()) return {};
  return fmt::format("needs {}, and '{}' holds {} of shape {}", wanted, material.spec,
                     sequences ? "sequences" : "samples", material.sample().str());
}

Material as_sequences(const Material& material) {
  if (material.has_sequences()) return material;
  Material result = material;
  result.splits.train = rows_as_steps(material.splits.train, 1);
  result.splits.validation = rows_as_steps(material.splits.validation, 2);
  result.splits.test = rows_as_steps(material.splits.test, 3);
  result.normalization = data::measure_normalization(result.splits.train);
  return result;
}

data::Dataset shifted(const data::Dataset& images, double contrast, double brightness) {
  data::Dataset result = images;
  result.samples = images.samples.clone();
  const auto moved = [&](double value) { return (value - 0.5) * contrast + 0.5 + brightness; };
  if (images.samples.dtype() == DType::u8) {
    for (std::uint8_t& value : result.samples.span<std::uint8_t>()) {
      const double level = std::clamp(moved(static_cast<double>(value) / 255), 0.0, 1.0);
      value = static_cast<std::uint8_t>(std::lround(level * 255));
    }
  } else {
    for (float& value : result.samples.span<float>()) {
      value = static_cast<float>(moved(static_cast<double>(value)));
    }
  }
  return result;
}

data::Dataset sorted_by_label(const data::Dataset& dataset) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(
      order, {}, [&](std::int64_t i) { return dataset.labels[static_cast<std::size_t>(i)]; });
  return dataset.select(order);
}

}  // namespace evenkeel::lab
