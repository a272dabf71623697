#include <cmath>

#include "readers.h"
#include "support.h"
#include <evenkeel/io/sequences.h>

namespace evenkeel::fuzz {
namespace {

constexpr std::size_t kLimit = std::size_t{1} << 16;

void check_sequences(const io::Sequences& sequences) {
  promise(sequences.features > 0 && !sequences.lengths.empty(), "{} sequences of {} features",
          sequences.lengths.size(), sequences.features);
  std::int64_t steps = 0;
  for (const std::int64_t length : sequences.lengths) {
    promise(length > 0, "a sequence of {} steps", length);
    steps += length;
  }
  promise(static_cast<std::size_t>(steps * sequences.features) == sequences.values.size(),
          "{} values for {} steps of {} features", sequences.values.size(), steps,
          sequences.features);
  promise(sequences.labels.empty() || sequences.labels.size() == sequences.lengths.size(),
          "{} labels for {} sequences", sequences.labels.size(), sequences.lengths.size());
  for (const float value : sequences.values) {
    promise(std::isfinite(value), "the value {}", value);
  }
}

/// The sequences as text again; they have labels.
std::string text_of(const io::Sequences& sequences) {
  std::string text;
  std::size_t at = 0;
  for (std::size_t i = 0; i < sequences.lengths.size(); ++i) {
    text += "class " + sequences.labels[i] + '\n';
    for (std::int64_t step = 0; step < sequences.lengths[i]; ++step) {
      for (std::int64_t k = 0; k < sequences.features; ++k) {
        text += fmt::format("{} ", sequences.values[at++]);
      }
      text += '\n';
    }
  }
  return text;
}

void read(std::string_view bytes) {
  const std::filesystem::path& path = file_of(bytes);
  io::Sequences sequences;
  for (auto* reader : {io::read_vowels, io::read_any_sequences, io::read_sequences}) {
    if (accepts([&] { sequences = reader(path); })) check_sequences(sequences);
  }
  if (!accepts([&] { sequences = io::read_sequences(path); })) return;
  const std::filesystem::path copy = work_folder() / "copy.txt";
  write_bytes(copy, text_of(sequences));
  const io::Sequences again = io::read_sequences(copy);
  promise(again.values == sequences.values && again.lengths == sequences.lengths &&
              again.labels == sequences.labels,
          "the sequences differ once written");
}

std::vector<Seed> seeds() {
  const std::string labelled = "# two\nclass a\n1 2\n3,4\nclass b c\n-5e-1\t.6 # last\n";
  return {
      {"labelled", labelled},
      {"vowels", "1.5 2\n3 4\n1.0 1.0\n5 6\n1 1\n"},
      {"blocks", "1 2\r\n3 4\r\n\r\n5 6\r\n"},
      {"gzip", deflated(labelled, true)},
      {"byte_order_mark", "\xEF\xBB\xBF" + labelled},
      {"no_steps", "class a\nclass b\n1\n"},
      {"no_name", "class\n1\n"},
      {"ragged", "class a\n1 2\n3\n"},
      {"not_finite", "class a\nnan inf\n"},
      {"too_large", "class a\n1e39\n"},
      {"ones_alone", "1 1\n1 1\n"},
      {"zero_bytes", std::string("class a\0\n1\0\n", 12)},
      {"empty", "\n#\n"},
  };
}

std::optional<std::string> unpack(std::string_view bytes) { return inflated(bytes, true, kLimit); }

std::string pack(std::string_view inside) { return deflated(inside, true); }

}  // namespace

Target sequences_target() {
  return {.reader = "sequences", .read = read, .seeds = seeds, .unpack = unpack, .pack = pack};
}

}  // namespace evenkeel::fuzz
