// The readers of this room on files of other libraries' making; see fault_files.h.
#include <map>

#include "io/fault_files.h"
#include <evenkeel/io/npy.h>
#include <evenkeel/io/safetensors.h>

namespace evenkeel::io {
namespace {

using testing::check_kind;
using testing::Fault;
using testing::folder_from;
using testing::read_manifest;

class FaultsConformance : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!folder_from("EVENKEEL_FAULTS")) {
      GTEST_SKIP() << "EVENKEEL_FAULTS does not name the folder of the fault files";
    }
  }
};

TEST_F(FaultsConformance, conformance_safetensors_files_are_read_or_refused_as_labelled) {
  const int checked = check_kind("safetensors", "safetensors/ok_one.safetensors",
                                 [](const auto& path) { read_safetensors(path); });
  RecordProperty("files", checked);
  EXPECT_GT(checked, 0);
}

TEST_F(FaultsConformance, conformance_npy_files_are_read_or_refused_as_labelled) {
  const int checked = check_kind("npy", "npy/ok_v2.npy", [](const auto& path) { read_npy(path); });
  RecordProperty("files", checked);
  EXPECT_GT(checked, 0);
}

TEST_F(FaultsConformance, conformance_every_label_is_known_and_other_kinds_are_listed) {
  std::map<std::string, int> others;
  for (const Fault& fault : read_manifest(*folder_from("EVENKEEL_FAULTS"))) {
    EXPECT_TRUE(fault.expect == "accept" || fault.expect == "reject" || fault.expect == "either")
        << fault.file << ": " << fault.expect;
    // Those of kind onnx are tests/deploy's.
    if (fault.kind != "npy" && fault.kind != "safetensors" && fault.kind != "onnx") {
      ++others[fault.kind];
      std::cout << "not covered: " << fault.file << '\n';
    }
  }
  for (const auto& [kind, count] : others) {
    std::cout << "not covered: " << count << " files of kind " << kind << '\n';
  }
}

}  // namespace
}  // namespace evenkeel::io
