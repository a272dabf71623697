// Reference vectors: a manifest.json and the .npy files that it names.
#pragma once

#include <evenkeel/core/tensor.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace evenkeel::conformance {

/// One case of the manifest.
struct Case {
  std::string name, op;
  nlohmann::json attributes;
  std::vector<std::string> tags;
  nlohmann::json tensors;
  nlohmann::json shared;  ///< the tensors of attributes.shared_inputs, or null
  std::filesystem::path folder;

  bool has(const std::string& tensor) const { return tensors.contains(tensor); }
  /// An input in the wanted dtype; undefined if the case has none of that name.
  Tensor input(const std::string& tensor, DType dtype) const;
  Tensor shared_input(const std::string& tensor) const;
  /// Names of all expected tensors.
  std::vector<std::string> expected() const;
};

/// The folder in EVENKEEL_VECTORS, or the subset that the project carries.
std::filesystem::path vectors_folder();
std::vector<Case> read_manifest(const std::filesystem::path& folder);

/// Adds a test failure unless |got − ref| ≤ atol + rtol·|ref| for every element, with the tolerances of
/// `tier` ("f64" or "tight"). `row` selects one row of an expected tensor with a leading axis.
void expect_close(const Case& c, const std::string& tensor, const Tensor& got,
                  const std::string& tier, std::int64_t row = -1);

}  // namespace evenkeel::conformance
