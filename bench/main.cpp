// evenkeel_bench: everything, against every peer that is there. See docs/performance.md.

#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "machine.h"
#include "other_work.h"
#include "plan.h"
#include "report.h"

namespace evenkeel::bench {
namespace {

struct Arguments {
  Plan plan;
  std::vector<std::string> workers;  // each one command line, split at blanks
  std::string json, document;
  std::size_t cache = last_level_cache() >> 20;  // MiB
};

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

int run(const Arguments& arguments) {
  std::vector<std::unique_ptr<Worker>> workers;
  for (const std::string& command : arguments.workers) {
    workers.push_back(std::make_unique<Worker>(words_of(command)));
    fmt::print(stderr, "peers: {}\n", fmt::join(workers.back()->peers(), ", "));
  }
  Circumstances circumstances{machine_json(), machine_text(), arguments.plan.quick,
                              arguments.cache << 20};
  const OtherWork other_work;
  Findings const* findings = nullptr;
  const auto save = [&] {
    if (arguments.json.empty()) return;
    std::ofstream(arguments.json) << report_json(*findings, circumstances).dump(1) << "\n";
  };
  Bench bench(arguments.plan, std::move(workers), save);
  findings = &bench.findings();
  bench.run();
  circumstances.other_work = other_work.part(bench.worker_processes());
  save();
  fmt::print("{}", report_text(*findings, circumstances));
  if (!arguments.document.empty()) {
    write_document(arguments.document, *findings, circumstances);
  }
  return 0;
}

Arguments parse(CLI::App& app, int argc, char** argv) {
  Arguments arguments;
  Plan& plan = arguments.plan;
  app.add_flag("--quick", plan.quick, "a representative few, in some minutes");
  app.add_option("--parts", plan.parts,
                 "of batch-norm,rows,steps,inference,memory,growth,threads (all)")
      ->delimiter(',');
  app.add_option("--batch", plan.batches, "samples (32,1)")->delimiter(',');
  app.add_option("--threads", plan.threads,
                 "numbers of threads (2, and 1 for a representative few)")
      ->delimiter(',');
  app.add_option("--networks", plan.networks,
                 "of ResNet-50,DenseNet-121,Inception-v3,MobileNet-v1 and, for steps, inference "
                 "and memory, "
                 "mlp,convnet,resnet20,resnet50 (all)")
      ->delimiter(',');
  app.add_option("--works", plan.works, "such as forward,backward+relu (all)")->delimiter(',');
  app.add_option("--rounds", plan.runner.rounds, "turns of every candidate (15; 7 if quick)");
  app.add_option("--worker", arguments.workers, "command line of a program with further peers");
  app.add_option("--cache", arguments.cache,
                 "MiB of last-level cache that this machine has to itself (what it says it has)");
  app.add_option("--json", arguments.json, "write all figures to this file");
  app.add_option("--document", arguments.document, "replace the marked block of this file");
  app.parse(argc, argv);
  if (plan.quick && app.count("--rounds") == 0) plan.runner.rounds = 7;
  return arguments;
}

}  // namespace
}  // namespace evenkeel::bench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("Measures evenkeel against its peers, in turns.", "evenkeel_bench");
  try {
    return evenkeel::bench::run(evenkeel::bench::parse(app, argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    fmt::print(stderr, "evenkeel_bench: {}\n", error.what());
    return 1;
  }
}
