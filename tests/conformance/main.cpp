// One test per case of the manifest in EVENKEEL_VECTORS, registered when the program starts, so that
// another set of the same form runs through the same binary. Cases whose operator does not exist are
// listed by name.
#include <gtest/gtest.h>

#include <functional>
#include <iostream>

#include "cases.h"

namespace evenkeel::conformance {
namespace {

class CaseTest : public testing::Test {
 public:
  CaseTest(const Case& c, void (*run)(const Case&)) : case_(c), run_(run) {}
  void TestBody() override { run_(case_); }

 private:
  const Case& case_;
  void (*run_)(const Case&);
};

struct Operator {
  const char* prefix;
  const char* suite;
  void (*run)(const Case&);
  bool (*exists)(const Case&);
};

bool always(const Case& /*c*/) { return true; }

const std::vector<Operator>& operators() {
  static const std::vector<Operator> table{{"BatchNorm", "BatchNorm", run_batch_norm, always},
                                           {"LayerNorm", "RowNorm", run_row_norm, always},
                                           {"GroupNorm", "RowNorm", run_row_norm, always},
                                           {"InstanceNorm", "RowNorm", run_row_norm, always},
                                           {"train", "Training", run_training, can_train}};
  return table;
}

void register_cases() {
  static const std::vector<Case> cases = read_manifest(vectors_folder());
  std::vector<std::string> missing;
  for (const Case& c : cases) {
    bool found = false;
    for (const Operator& op : operators()) {
      if (c.op.rfind(op.prefix, 0) != 0 || !op.exists(c)) continue;
      testing::RegisterTest(op.suite, c.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                            [&c, run = op.run]() -> CaseTest* { return new CaseTest(c, run); });
      found = true;
      break;
    }
    if (!found) missing.push_back(c.name + " (" + c.op + ")");
  }
  std::cout << cases.size() << " cases in " << vectors_folder().string() << "; " << missing.size()
            << " of operators that do not exist here:\n";
  for (const std::string& name : missing) std::cout << "  not run: " << name << "\n";
}

}  // namespace
}  // namespace evenkeel::conformance

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  try {
    evenkeel::conformance::register_cases();
    evenkeel::conformance::register_edges();
    evenkeel::conformance::register_onnx_nodes();
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return RUN_ALL_TESTS();
}
