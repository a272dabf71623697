// evenkeel bench: how fast batch norm is on this machine, against a copy and oneDNN.

#include <cmath>
#include <memory>

#include <bench/measurement.h>
#include <bench/onednn.h>
#include <bench/other_work.h>
#include <bench/own.h>
#include <fmt/format.h>

#include "command.h"
#include "loaded_run.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>

namespace evenkeel::app {
namespace {

struct BenchArguments {
  bool quick = false, json = false;
  std::int64_t batch = 32;
  int threads = 0;
};

/// One layout of one measurement.
struct Row {
  const bench::Measurement& m;
  Layout layout;

  double seconds() const { return m.own(layout)->timing.min; }
  double bytes_per_second() const {
    return m.work.least_traffic() * static_cast<double>(m.bytes) / seconds();
  }
};

std::vector<bench::SampleShape> shapes_of(const BenchArguments& arguments) {
  std::vector<bench::SampleShape> shapes = bench::representative_shapes();
  // The largest take most of the time, and a gigabyte of memory with all who are measured.
  if (arguments.quick) {
    std::erase_if(shapes, [](const auto& shape) { return shape.c * shape.h * shape.w > 300'000; });
  }
  return shapes;
}

std::vector<bench::Measurement> measure_all(const BenchArguments& arguments) {
  bench::RunnerOptions options;
  options.rounds = arguments.quick ? 3 : 7;
  const std::vector<bench::Provider> providers{bench::own_candidates, bench::onednn_candidates};
  std::vector<bench::Measurement> result;
  for (const bench::SampleShape& shape : shapes_of(arguments)) {
    const bench::Problem problem({.n = arguments.batch, .c = shape.c, .h = shape.h, .w = shape.w});
    for (const bench::Operation operation :
         {bench::Operation::forward, bench::Operation::backward, bench::Operation::inference}) {
      const bench::Work work{.operation = operation, .relu = true, .threads = max_threads()};
      result.push_back(bench::measure(shape.name(), problem, work, providers, options));
    }
  }
  return result;
}

std::vector<Row> rows_of(const std::vector<bench::Measurement>& measurements, bench::Operation of) {
  std::vector<Row> rows;
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (const bench::Measurement& m : measurements) {
      if (m.work.operation == of) rows.push_back({m, layout});
    }
  }
  return rows;
}

std::string milliseconds(double seconds) { return brief(1e3 * seconds, 1e3 * seconds); }

std::string table_of(const std::vector<bench::Measurement>& measurements, bench::Operation of) {
  using Align = Table::Align;
  Table table({{"size"},
               {"layout"},
               {"ms", Align::right},
               {"GB/s", Align::right},
               {"of a copy", Align::right},
               {"oneDNN", Align::right},
               {"ratio", Align::right}});
  double log_ratio = 0;
  int ratios = 0;
  for (const Row& row : rows_of(measurements, of)) {
    const bench::Entry* const peer = row.m.best_peer(row.layout);
    const double ratio = row.m.ratio(row.layout);
    if (ratio > 0) {
      log_ratio += std::log(ratio);
      ++ratios;
    }
    table.add({row.m.shape,
               row.layout == Layout::channels_first ? "channels first" : "channels last",
               milliseconds(row.seconds()), fmt::format("{:.1f}", 1e-9 * row.bytes_per_second()),
               fmt::format("{:.2f}", row.m.part_of_copy(row.layout)),
               peer == nullptr ? "" : milliseconds(peer->timing.min),
               peer == nullptr ? "" : fmt::format("{:.2f}", ratio)});
  }
  std::string text = fmt::format("{} + ReLU\n{}", bench::name_of(of), table.str(2));
  if (ratios > 0) {
    text += fmt::format("  geometric mean of the ratios: {:.2f}\n", std::exp(log_ratio / ratios));
  }
  return text;
}

Json json_of(const std::vector<bench::Measurement>& measurements) {
  Json list = Json::array();
  for (const bench::Measurement& m : measurements) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      const Row row{m, layout};
      const bench::Entry* const peer = m.best_peer(layout);
      Json entry{{"shape", {m.size.n, m.size.c, m.size.h, m.size.w}},
                 {"operation", bench::name_of(m.work.operation)},
                 {"layout", name_of(layout)},
                 {"seconds", row.seconds()},
                 {"median", m.own(layout)->timing.median},
                 {"bytes_per_second", row.bytes_per_second()},
                 {"part_of_copy", m.part_of_copy(layout)}};
      if (peer != nullptr) {
        entry["onednn"] = {{"format", peer->candidate.how},
                           {"seconds", peer->timing.min},
                           {"ratio", m.ratio(layout)}};
      }
      list.push_back(std::move(entry));
    }
  }
  return list;
}

int run_bench(const BenchArguments& arguments) {
  if (arguments.batch < 1) {
    fail<UsageError>("--batch: expected at least 1 sample, got {}", arguments.batch);
  }
  use_threads(arguments.threads);
  const bench::OtherWork other_work;
  const std::vector<bench::Measurement> measurements = measure_all(arguments);
  const double others = other_work.part({});
  if (arguments.json) {
    print_json({{"version", bench::own_version()},
                {"onednn", bench::onednn_version()},
                {"threads", max_threads()},
                {"other_work", others},
                {"measurements", json_of(measurements)}});
    return 0;
  }
  print(fmt::format(
      "evenkeel {}, oneDNN {}, {} threads, batches of {}. The fastest of some rounds, in turns;\n"
      "ratio: oneDNN's time over ours, in its best format of the layout.\n\n",
      bench::own_version(), bench::onednn_version(), max_threads(), arguments.batch));
  for (const bench::Operation operation :
       {bench::Operation::forward, bench::Operation::backward, bench::Operation::inference}) {
    print(table_of(measurements, operation) + "\n");
  }
  if (others > bench::OtherWork::kTolerable) {
    print(fmt::format(
        "Other work took {:.0f} % of the processors' time: these figures say little, and least of\n"
        "threads that wait for one another, as oneDNN's do. Measure again on a quiet machine.\n",
        100 * others));
  }
  return 0;
}

}  // namespace

Action define_bench(CLI::App& app) {
  auto arguments = std::make_shared<BenchArguments>();
  app.add_flag("--quick", arguments->quick, "the small ones alone, in seconds");
  app.add_option("--batch", arguments->batch, "samples per batch (32)")->option_text("N");
  app.add_option("--threads", arguments->threads, "threads (as info shows)")->option_text("N");
  add_json(app, arguments->json);
  app.footer(
      "Measures batch norm with ReLU on activations of ResNet-50 and Inception-v3,\n"
      "beside oneDNN's and a copy of as many bytes, which is the limit. Let the machine\n"
      "do nothing else. bench/run.sh of the sources compares with more.\n\n"
      "Examples:\n"
      "  evenkeel bench\n"
      "  evenkeel bench --quick --threads 1\n"
      "  EVENKEEL_ISA=avx2 evenkeel bench");
  return [arguments] { return run_bench(*arguments); };
}

}  // namespace evenkeel::app
