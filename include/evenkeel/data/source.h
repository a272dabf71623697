// Data named by one word: `glyphs`, `mnist:DIR`, `csv:FILE`…
#pragma once

#include <string>
#include <vector>

#include <evenkeel/data/dataset.h>

namespace evenkeel::data {

/// One row of the table of data sources.
struct SourceInfo {
  std::string name;     ///< "mnist"
  std::string pattern;  ///< "mnist:DIR"
  std::string help;     ///< one line
};
const std::vector<SourceInfo>& sources();

struct SourceOptions {
  double validation = 0.0;  ///< part of the training samples that becomes the validation split
  std::uint64_t seed = 1;   ///< of the split and, for files without a test part, of that split
};

/// Reads the data set that `spec` names. `glyphs` takes options after a colon:
/// `glyphs:train=10000,test=2000,seed=7`. `csv` and `npz` files have no test part: a fifth of a
/// seeded shuffle becomes it; so does one of a `sequence` file alone (docs/sequences.md has the
/// format). Throws UsageError for an unknown name (with the nearest one), IoError
/// for files that are missing or malformed, naming the file and what to do.
Splits open_source(const std::string& spec, const SourceOptions& options = {});

}  // namespace evenkeel::data
