// MNIST and data sets of its form.
#include <algorithm>
#include <cstddef>

#include "data/source_table.h"
#include <evenkeel/io/idx.h>

namespace evenkeel::data {
namespace {

namespace fs = std::filesystem;

/// The file `name` in `folder`, plain or gzip.
fs::path find_file(const fs::path& folder, const std::string& name, std::string_view where) {
  for (const std::string& candidate : {name, name + ".gz"}) {
    std::error_code ignored;
    if (fs::is_regular_file(folder / candidate, ignored)) return folder / candidate;
  }
  fail<IoError>(
      "[{0}] expected {1} or {1}.gz in the folder '{2}', found neither; give the folder that holds "
      "train-images-idx3-ubyte.gz, as in {0}:DIR",
      where, name, folder.string());
}

struct Part {
  Dataset data;
  fs::path images_path, labels_path;
};

Part read_part(const fs::path& folder, const std::string& prefix, std::string_view where) {
  Part part;
  part.images_path = find_file(folder, prefix + "-images-idx3-ubyte", where);
  part.labels_path = find_file(folder, prefix + "-labels-idx1-ubyte", where);
  const Tensor images = io::read_idx(part.images_path);
  const Tensor labels = io::read_idx(part.labels_path);
  if (images.rank() != 3 || images.numel() == 0) {
    fail<IoError>("[{}] {}: expected images [N, H, W], got {}; the file is not one of images",
                  where, part.images_path.string(), images.shape().str());
  }
  if (labels.rank() != 1) {
    fail<IoError>("[{}] {}: expected labels [N], got {}; the file is not one of labels", where,
                  part.labels_path.string(), labels.shape().str());
  }
  if (labels.dim(0) != images.dim(0)) {
    fail<IoError>(
        "[{}] {} holds {} images but {} holds {} labels; the files do not belong together", where,
        part.images_path.string(), images.dim(0), part.labels_path.string(), labels.dim(0));
  }
  part.data.samples = images.reshape({images.dim(0), 1, images.dim(1), images.dim(2)});
  const auto values = labels.span<std::uint8_t>();
  part.data.labels.assign(values.begin(), values.end());
  return part;
}

/// Ten classes; more where every class up to the highest occurs in training, as in the larger
/// relatives of MNIST. A lone high label is a damaged file, not a class.
std::int64_t count_classes(const std::vector<std::int32_t>& labels) {
  std::vector<bool> seen(256, false);
  for (const std::int32_t label : labels) seen[static_cast<std::size_t>(label)] = true;
  std::fill_n(seen.begin(), 10, true);
  return std::find(seen.begin(), seen.end(), false) - seen.begin();
}

void check_labels(const Part& part, std::int64_t classes, std::string_view where) {
  const auto bad = std::find_if(part.data.labels.begin(), part.data.labels.end(),
                                [&](std::int32_t label) { return label >= classes; });
  if (bad == part.data.labels.end()) return;
  fail<IoError>("[{}] {}: expected labels from 0 to {}, got {} at sample {}; the file is damaged",
                where, part.labels_path.string(), classes - 1, *bad,
                bad - part.data.labels.begin());
}

Splits open_idx(const fs::path& folder, std::string_view where,
                const std::vector<std::string>& class_names) {
  require_rest(folder.string(), where, "DIR");
  Part train = read_part(folder, "train", where);
  Part test = read_part(folder, "t10k", where);
  if (!(train.data.sample_shape() == test.data.sample_shape())) {
    fail<IoError>("[{}] expected images of one size, got {} in {} and {} in {}", where,
                  train.data.sample_shape().str(), train.images_path.string(),
                  test.data.sample_shape().str(), test.images_path.string());
  }
  const std::int64_t classes = class_names.empty() ? count_classes(train.data.labels)
                                                   : static_cast<std::int64_t>(class_names.size());
  std::vector<std::string> names = class_names;
  for (std::int64_t i = static_cast<std::int64_t>(names.size()); i < classes; ++i) {
    names.push_back(std::to_string(i));
  }
  for (Part* part : {&train, &test}) {
    check_labels(*part, classes, where);
    part->data.classes = classes;
    part->data.class_names = names;
  }
  return {.train = std::move(train.data), .validation = {}, .test = std::move(test.data)};
}

}  // namespace

Splits open_mnist(const std::string& folder, const SourceOptions& /*options*/) {
  return open_idx(folder, "mnist", {});
}

Splits open_fashion_mnist(const std::string& folder, const SourceOptions& /*options*/) {
  return open_idx(folder, "fashion-mnist",
                  {"t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt",
                   "sneaker", "bag", "ankle boot"});
}

}  // namespace evenkeel::data
