#include "micro.h"

int main(int argc, char** argv) {
  evenkeel::bench::add_norm_benchmarks();
  evenkeel::bench::add_operator_benchmarks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
