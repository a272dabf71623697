#include "wait_policy.h"

#include <unistd.h>

#include <cstdlib>

namespace evenkeel::app {

void sleep_while_waiting(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("OMP_WAIT_POLICY", "passive", 1) != 0) return;
  execv("/proc/self/exe", argv);  // returns only where it fails; spinning threads work as well
}

}  // namespace evenkeel::app
