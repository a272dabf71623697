#include "vectors.h"

#include <evenkeel/io/npy.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

namespace evenkeel::conformance {

Tensor Case::input(const std::string& tensor, DType dtype) const {
  if (!has(tensor)) return {};
  return io::read_npy(folder / tensors.at(tensor).at("file").get<std::string>()).to(dtype);
}

Tensor Case::shared_input(const std::string& tensor) const {
  return io::read_npy(folder / shared.at(tensor).at("file").get<std::string>());
}

std::vector<std::string> Case::expected() const {
  std::vector<std::string> names;
  for (const auto& [key, entry] : tensors.items()) {
    if (entry.at("role") == "expected") names.push_back(key);
  }
  return names;
}

std::filesystem::path vectors_folder() {
  const char* folder = std::getenv("EVENKEEL_VECTORS");
  return folder != nullptr && *folder != '\0' ? folder : EVENKEEL_CARRIED_VECTORS;
}

std::vector<Case> read_manifest(const std::filesystem::path& folder) {
  std::ifstream file(folder / "manifest.json");
  if (!file) fail<IoError>("[vectors] there is no manifest.json in '{}'", folder.string());
  const auto manifest = nlohmann::json::parse(file);
  std::vector<Case> cases;
  for (const auto& entry : manifest.at("cases")) {
    Case c;
    c.name = entry.at("name");
    c.op = entry.at("op");
    c.attributes = entry.at("attrs");
    c.tags = entry.value("tags", std::vector<std::string>{});
    c.tensors = entry.at("tensors");
    c.folder = folder;
    if (c.attributes.contains("shared_inputs")) {
      c.shared = manifest.at("shared").at(c.attributes.at("shared_inputs").get<std::string>());
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

void expect_close(const Case& c, const std::string& tensor, const Tensor& got,
                  const std::string& tier, std::int64_t row) {
  const auto& entry = c.tensors.at(tensor);
  const double rtol = entry.at("tol").at(tier).at("rtol");
  const double atol = entry.at("tol").at(tier).at("atol");
  Tensor reference = c.input(tensor, DType::f64);
  if (row >= 0) reference = reference.slice(row, row + 1).reshape(reference.shape().drop(1));
  ASSERT_EQ(reference.shape().str(), got.shape().str()) << tensor;
  const Tensor values = got.to(Layout::channels_first).to(DType::f64);
  const auto want = reference.span<double>();
  const auto have = std::as_const(values).span<double>();
  double worst = 0;
  std::size_t worst_at = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(want[i]) && std::isnan(have[i])) continue;
    if (want[i] == have[i]) continue;  // also equal infinities
    const double bound = atol + rtol * std::abs(want[i]);
    const double error = std::abs(have[i] - want[i]);
    const double excess = error <= bound ? error / bound : (bound > 0 ? error / bound : INFINITY);
    if (!(excess <= worst)) {
      worst = std::isnan(excess) ? INFINITY : excess;
      worst_at = i;
    }
  }
  if (worst > 1) {
    ADD_FAILURE() << tensor << " differs at " << worst_at << ": got "
                  << fmt::format("{:.9g}, expected {:.9g}, {:.3g} times the {} tolerance",
                                 have[worst_at], want[worst_at], worst, tier);
  }
}

}  // namespace evenkeel::conformance
