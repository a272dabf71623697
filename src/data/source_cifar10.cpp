#include <cstddef>
#include <cstring>

#include "data/source_table.h"
#include <evenkeel/io/idx.h>

namespace evenkeel::data {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// The folder itself or the one that the archive unpacks to inside it.
fs::path find_folder(const fs::path& given) {
  const fs::path inner = given / "cifar-10-batches-bin";
  return is_file(inner / "test_batch.bin") ? inner : given;
}

Dataset read_batches(const std::vector<fs::path>& paths) {
  std::vector<io::Cifar> batches;
  std::int64_t count = 0;
  for (const fs::path& path : paths) {
    batches.push_back(io::read_cifar10(path));
    count += batches.back().images.dim(0);
  }
  Dataset result;
  result.samples = Tensor::empty({count, 3, 32, 32}, DType::u8);
  result.classes = 10;
  result.class_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                        "dog",      "frog",       "horse", "ship", "truck"};
  std::int64_t begin = 0;
  for (const io::Cifar& batch : batches) {
    const std::int64_t end = begin + batch.images.dim(0);
    result.samples.slice(begin, end).copy_from(batch.images);
    result.labels.insert(result.labels.end(), batch.labels.begin(), batch.labels.end());
    begin = end;
  }
  return result;
}

}  // namespace

Splits open_cifar10(const std::string& folder, const SourceOptions& /*options*/) {
  require_rest(folder, "cifar10", "DIR");
  const fs::path base = find_folder(folder);
  std::vector<fs::path> train;
  for (int i = 1; i <= 5; ++i) {
    const fs::path path = base / fmt::format("data_batch_{}.bin", i);
    if (is_file(path)) train.push_back(path);
  }
  const bool has_test = is_file(base / "test_batch.bin");
  if (train.empty() || !has_test) {
    fail<IoError>(
        "[cifar10] expected {} in '{}' or in cifar-10-batches-bin inside it, found none; give the "
        "folder that holds the binary version of CIFAR-10 (data_batch_1.bin, …, test_batch.bin)",
        train.empty() ? "data_batch_1.bin to data_batch_5.bin, at least one of them,"
                      : "test_batch.bin",
        folder);
  }
  return {.train = read_batches(train),
          .validation = {},
          .test = read_batches({base / "test_batch.bin"})};
}

}  // namespace evenkeel::data
