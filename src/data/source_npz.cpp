#include <algorithm>
#include <cstddef>
#include <map>

#include "data/source_table.h"
#include <evenkeel/io/npy.h>

namespace evenkeel::data {
namespace {

using Arrays = std::map<std::string, Tensor>;

constexpr std::int64_t kMaxClasses = 1'000'000;

/// A file and an array in it, for messages.
struct Place {
  const std::string& file;
  const std::string& name;
};

bool plausible_channels(std::int64_t count) { return count >= 1 && count <= 4; }

/// Bytes are images: [N, H, W] or [N, C, H, W]. Everything else is f32 with channels or features in
/// the second dimension.
Tensor as_samples(const Tensor& x, const Place& place) {
  const auto refuse = [&](std::string_view advice) {
    fail<IoError>(
        "[npz] {}: expected '{}' as images u8 [N, H, W] or [N, C, H, W] or rows [N, features...], "
        "got {} {}; {}",
        place.file, place.name, name_of(x.dtype()), x.shape().str(), advice);
  };
  if (x.rank() < 2 || x.numel() == 0) refuse("the first dimension counts the samples");
  if (x.dtype() != DType::u8 || x.rank() == 2) return x.to(DType::f32);
  if (x.rank() == 3) return x.reshape({x.dim(0), 1, x.dim(1), x.dim(2)});
  if (x.rank() > 4) refuse("store other arrays as float32");
  if (plausible_channels(x.dim(3)) && !plausible_channels(x.dim(1))) {
    refuse("the channels seem to come last: store x.transpose(0, 3, 1, 2)");
  }
  return x;
}

std::vector<std::int32_t> as_labels(const Tensor& y, std::int64_t samples, const Place& place) {
  const bool integer = y.dtype() == DType::i64 || y.dtype() == DType::i32 || y.dtype() == DType::u8;
  if (!integer || y.numel() != samples || y.rank() < 1 || y.dim(0) != samples) {
    fail<IoError>("[npz] {}: expected '{}' as {} integer labels, one per sample, got {} {}",
                  place.file, place.name, samples, name_of(y.dtype()), y.shape().str());
  }
  const Tensor wide = y.to(DType::i64);
  std::vector<std::int32_t> labels;
  labels.reserve(static_cast<std::size_t>(samples));
  for (const std::int64_t label : wide.span<std::int64_t>()) {
    if (label < 0 || label >= kMaxClasses) {
      fail<IoError>(
          "[npz] {}: expected labels from 0 to {} in '{}', got {} at sample {}; number "
          "the classes from 0",
          place.file, kMaxClasses - 1, place.name, label, labels.size());
    }
    labels.push_back(static_cast<std::int32_t>(label));
  }
  return labels;
}

Dataset read_part(const Arrays& arrays, const std::string& x, const std::string& y,
                  const std::string& file) {
  Dataset part;
  part.samples = as_samples(arrays.at(x), {file, x});
  part.labels = as_labels(arrays.at(y), part.size(), {file, y});
  part.classes = *std::max_element(part.labels.begin(), part.labels.end()) + std::int64_t{1};
  return part;
}

bool holds(const Arrays& arrays, std::initializer_list<const char*> names) {
  return std::all_of(names.begin(), names.end(),
                     [&](const char* name) { return arrays.count(name) != 0; });
}

std::string names_of(const Arrays& arrays) {
  std::vector<std::string> names;
  for (const auto& [name, array] : arrays) names.push_back(name);
  return names.empty() ? "no array" : join(names);
}

}  // namespace

Splits open_npz(const std::string& file, const SourceOptions& options) {
  require_rest(file, "npz", "FILE");
  const Arrays arrays = io::read_npz(file);
  if (holds(arrays, {"x_train", "y_train", "x_test", "y_test"})) {
    Splits splits;
    splits.train = read_part(arrays, "x_train", "y_train", file);
    splits.test = read_part(arrays, "x_test", "y_test", file);
    const Shape train_shape = splits.train.sample_shape();
    const Shape test_shape = splits.test.sample_shape();
    if (!(train_shape == test_shape) ||
        splits.train.samples.dtype() != splits.test.samples.dtype()) {
      fail<IoError>(
          "[npz] {}: expected x_train and x_test of one kind, got samples {} {} and {} {}", file,
          name_of(splits.train.samples.dtype()), train_shape.str(),
          name_of(splits.test.samples.dtype()), test_shape.str());
    }
    splits.train.classes = std::max(splits.train.classes, splits.test.classes);
    splits.test.classes = splits.train.classes;
    return splits;
  }
  if (holds(arrays, {"x", "y"})) {
    return split_test(read_part(arrays, "x", "y", file), options, "npz");
  }
  fail<IoError>(
      "[npz] {}: expected the arrays x and y, or x_train, y_train, x_test and y_test, got {}; save "
      "them with numpy.savez(file, x=..., y=...)",
      file, names_of(arrays));
}

}  // namespace evenkeel::data
