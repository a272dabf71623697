// Sequences of different lengths: labelled text files, and the UCI data set Japanese Vowels.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <map>
#include <numeric>

#include "data/source_table.h"
#include <evenkeel/io/file.h>
#include <evenkeel/io/sequences.h>

namespace evenkeel::data {
namespace {

namespace fs = std::filesystem;

/// Padded, all sequences of a part must fit here: a single long one makes all others as long.
constexpr std::int64_t kMaxValues = std::int64_t{1} << 30;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// Sequences of one or two files and where they came from.
struct Part {
  io::Sequences sequences;
  fs::path path;
};

/// All names, sorted: numerically where all are numbers.
std::vector<std::string> sorted_names(const std::vector<const Part*>& parts) {
  std::map<std::string, double> numbers;
  bool numeric = true;
  for (const Part* part : parts) {
    for (const std::string& name : part->sequences.labels) {
      double value = 0;
      const char* const end = name.data() + name.size();
      const auto [stop, error] = std::from_chars(name.data(), end, value);
      numeric = numeric && error == std::errc{} && stop == end;
      numbers.emplace(name, value);
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, value] : numbers) names.push_back(name);
  if (numeric) std::ranges::stable_sort(names, {}, [&](const auto& n) { return numbers[n]; });
  return names;
}

/// [N, F, T], T the longest sequence of both parts, with zeros behind the shorter ones.
Dataset pad(const Part& part, std::int64_t steps, const std::vector<std::string>& names) {
  const io::Sequences& from = part.sequences;
  const auto count = static_cast<std::int64_t>(from.lengths.size());
  const std::int64_t features = from.features;
  if (features > kMaxValues / steps || count > kMaxValues / (features * steps)) {
    fail<IoError>(
        "[sequence] {}: expected at most {} values with every sequence padded to the longest, got "
        "{} sequences of up to {} steps of {} values; cut the longest ones",
        part.path.string(), kMaxValues, count, steps, features);
  }
  std::map<std::string, std::int32_t> numbers;
  for (const std::string& name : names) {
    numbers.emplace(name, static_cast<std::int32_t>(numbers.size()));
  }
  Dataset result;
  result.samples = Tensor::zeros({count, features, steps});
  result.lengths = from.lengths;
  result.classes = static_cast<std::int64_t>(names.size());
  result.class_names = names;
  const float* value = from.values.data();
  for (std::int64_t n = 0; n < count; ++n) {
    float* const out = result.samples.data<float>() + n * features * steps;
    for (std::int64_t t = 0; t < from.lengths[static_cast<std::size_t>(n)]; ++t) {
      for (std::int64_t c = 0; c < features; ++c) out[c * steps + t] = *value++;
    }
    result.labels.push_back(numbers.at(from.labels[static_cast<std::size_t>(n)]));
  }
  return result;
}

std::int64_t longest(const Part& part) { return std::ranges::max(part.sequences.lengths); }

Splits pad_both(const Part& train, const Part& test) {
  if (train.sequences.features != test.sequences.features) {
    fail<IoError>(
        "[sequence] expected steps of one size, got {} values per step in {} and {} in {}; the "
        "files do not belong together",
        train.sequences.features, train.path.string(), test.sequences.features, test.path.string());
  }
  const std::vector<std::string> names = sorted_names({&train, &test});
  const std::int64_t steps = std::max(longest(train), longest(test));
  return {.train = pad(train, steps, names), .validation = {}, .test = pad(test, steps, names)};
}

/// Utterances of each speaker, in the order of the files; published beside them as size_ae.train
/// and size_ae.test.
constexpr std::array<std::int64_t, 9> kTrainCounts{30, 30, 30, 30, 30, 30, 30, 30, 30};
constexpr std::array<std::int64_t, 9> kTestCounts{31, 35, 88, 44, 29, 24, 40, 50, 29};

Part read_speakers(const fs::path& path, const std::array<std::int64_t, 9>& counts) {
  Part part{io::read_vowels(path), path};
  const auto found = static_cast<std::int64_t>(part.sequences.lengths.size());
  const auto wanted = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (found != wanted) {
    fail<IoError>(
        "[sequence] {}: expected the {} utterances of the data set Japanese Vowels, whose speakers "
        "are known by their order, got {}; write other data as class NAME and steps",
        path.string(), wanted, found);
  }
  for (std::size_t speaker = 0; speaker < counts.size(); ++speaker) {
    part.sequences.labels.insert(part.sequences.labels.end(),
                                 static_cast<std::size_t>(counts[speaker]),
                                 fmt::format("{}", speaker + 1));
  }
  return part;
}

Splits open_file(const fs::path& path, const SourceOptions& options) {
  const Part all{io::read_sequences(path), path};
  return split_test(pad(all, longest(all), sorted_names({&all})), options, "sequence");
}

}  // namespace

Splits open_sequence(const std::string& given, const SourceOptions& options) {
  require_rest(given, "sequence", "DIR");
  const fs::path path = given;
  if (is_file(path)) return open_file(path, options);
  if (is_file(path / "ae.train") && is_file(path / "ae.test")) {
    const Part train = read_speakers(path / "ae.train", kTrainCounts);
    return pad_both(train, read_speakers(path / "ae.test", kTestCounts));
  }
  if (!is_file(path / "train.txt")) {
    fail<IoError>(
        "[sequence] expected train.txt (and test.txt) or ae.train and ae.test in the folder '{0}', "
        "or '{0}' to be a file, found none of them; give the folder or file that holds the "
        "sequences",
        given);
  }
  if (!is_file(path / "test.txt")) return open_file(path / "train.txt", options);
  const Part train{io::read_sequences(path / "train.txt"), path / "train.txt"};
  return pad_both(train, {io::read_sequences(path / "test.txt"), path / "test.txt"});
}

}  // namespace evenkeel::data
