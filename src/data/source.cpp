#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "data/source_table.h"
#include <evenkeel/core/options.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/source.h>

namespace evenkeel::data {
namespace {

// Streams of SourceOptions::seed.
constexpr std::uint64_t kTestStream = 0x74657374;
constexpr std::uint64_t kValidationStream = 0x76616c69;

constexpr double kTestPart = 0.2;

struct Row {
  SourceInfo info;
  Splits (*open)(const std::string& rest, const SourceOptions& options);
};

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows{
      {{"glyphs", "glyphs[:train=N,test=N,seed=N]", "drawn digits, grey 28x28; needs no files"},
       open_glyphs},
      {{"mnist", "mnist:DIR", "MNIST or data of its form: IDX files, plain or gzip"}, open_mnist},
      {{"fashion-mnist", "fashion-mnist:DIR", "Fashion-MNIST: IDX files, plain or gzip"},
       open_fashion_mnist},
      {{"cifar10", "cifar10:DIR", "CIFAR-10 binary version, any of its five training batches"},
       open_cifar10},
      {{"csv", "csv:FILE[,label=NAME]",
        "a table with a label column; a fifth becomes the test part"},
       open_csv},
      {{"npz", "npz:FILE", "NumPy arrays x and y, or x_train, y_train, x_test and y_test"},
       open_npz},
      {{"sequence", "sequence:DIR",
        "sequences of different lengths as text: train.txt and test.txt, one file, or Japanese "
        "Vowels"},
       open_sequence},
  };
  return kRows;
}

const Row& find_row(const std::string& name) {
  std::vector<std::string> names;
  for (const Row& row : rows()) {
    if (row.info.name == name) return row;
    names.push_back(row.info.name);
  }
  fail<UsageError>("[data] expected one of {}, got '{}'{}", join(names), name,
                   did_you_mean(name, names));
}

}  // namespace

const std::vector<SourceInfo>& sources() {
  static const std::vector<SourceInfo> kSources = [] {
    std::vector<SourceInfo> result;
    for (const Row& row : rows()) result.push_back(row.info);
    return result;
  }();
  return kSources;
}

Splits open_source(const std::string& spec, const SourceOptions& options) {
  const std::size_t colon = spec.find(':');
  const Row& row = find_row(spec.substr(0, colon));
  // Written so that NaN is refused too.
  if (!(options.validation >= 0.0 && options.validation < 1.0)) {
    fail<UsageError>("[data] expected a validation part from 0 to below 1, got {}",
                     options.validation);
  }
  const std::string rest = colon == std::string::npos ? "" : spec.substr(colon + 1);
  Splits splits = row.open(rest, options);
  if (options.validation > 0.0) {
    auto [train, validation] =
        cut_shuffled(splits.train, options.validation, options.seed, kValidationStream, "data");
    splits.train = std::move(train);
    splits.validation = std::move(validation);
  } else {
    splits.validation = splits.train.slice(splits.train.size(), splits.train.size());
  }
  return splits;
}

Cut cut_shuffled(const Dataset& all, double part, std::uint64_t seed, std::uint64_t stream,
                 std::string_view where) {
  const std::int64_t count = all.size();
  if (count < 2) {
    fail<UsageError>("[{}] expected at least 2 samples to split, got {}", where, count);
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Random(seed, stream).shuffle(order);
  const std::int64_t wanted = std::llround(part * static_cast<double>(count));
  const auto middle = order.end() - std::clamp<std::int64_t>(wanted, 1, count - 1);
  return {all.select({order.begin(), middle}), all.select({middle, order.end()})};
}

Splits split_test(const Dataset& all, const SourceOptions& options, std::string_view where) {
  auto [train, test] = cut_shuffled(all, kTestPart, options.seed, kTestStream, where);
  return {.train = std::move(train), .validation = {}, .test = std::move(test)};
}

void require_rest(const std::string& value, std::string_view where, std::string_view what) {
  if (value.empty()) {
    fail<UsageError>("[{0}] expected {1} after the name, got nothing; write {0}:{1}", where, what);
  }
}

std::string join(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace evenkeel::data
