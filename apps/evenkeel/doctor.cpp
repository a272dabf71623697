// evenkeel doctor

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "command.h"
#include "loaded_run.h"
#include "run_data.h"
#include "run_inputs.h"
#include "run_scores.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/deploy/doctor.h>
#include <evenkeel/deploy/onnx_network.h>
#include <evenkeel/deploy/scores.h>

namespace evenkeel::app {
namespace {

// Apart from 1, any failure, and 2, a mistake in the command line.
constexpr int kWarnings = 3;
constexpr int kErrors = 4;

struct DoctorArguments {
  std::string run;
  std::vector<std::int64_t> input;
  std::string data;  ///< "": the run's own
  std::string part = "train";
  std::int64_t samples = 2048;
  std::int64_t batch_size = 0;
  InputNumbers inputs;
  int threads = 0;
  bool no_data = false;
  bool json = false;
};

/// A diagnosis, and what it was made from.
struct Examined {
  deploy::Diagnosis diagnosis;
  std::string data;  ///< "" without
};

/// Samples that one forward of training normalizes together.
std::optional<std::int64_t> training_batch(const LoadedRun& run) {
  if (!run.settings) return std::nullopt;
  const std::int64_t parts = run.settings->accumulate;
  return (run.settings->batch_size + parts - 1) / parts;
}

deploy::DoctorOptions options_for(const DoctorArguments& arguments, const LoadedRun& run) {
  deploy::DoctorOptions options;
  options.training_batch = training_batch(run);
  options.sample = run.model.options.input;
  // Averaged weights (ema, swa) get statistics of their own.
  const auto& notes = run.model.metadata;
  options.recalibrated = notes.contains("recalibrated") || notes.contains("average");
  options.training_norms = run.training_norms;
  options.inputs_unknown = !run.model.has_recipe;
  options.samples = arguments.samples;
  options.batch_size = run.batch.value_or(arguments.batch_size);
  options.layout = run.layout();
  options.dtype = run.dtype();
  if (::isatty(STDERR_FILENO) != 0) options.progress = show_samples;
  return options;
}

/// Why there is nothing to pass through the network; "" where there may be.
std::string reason_against_data(const DoctorArguments& arguments, const LoadedRun& run) {
  if (arguments.no_data) return "--no-data";
  if (run.batch == 1) return "the model takes one sample at a time, which is no batch";
  if (arguments.data.empty() && !run.settings) {
    return "it is not known what it was trained on; give --data SPEC";
  }
  return {};
}

/// The data, where the command line names them or those of the run are still there.
std::optional<data::Splits> find_data(const DoctorArguments& arguments, const LoadedRun& run,
                                      const std::string& spec, std::string& reason) {
  const bool named = !arguments.data.empty();
  try {
    data::Splits splits = open_splits(spec, run);
    const data::Dataset& dataset = part_of("doctor", splits, spec, arguments.part);
    check_samples("doctor", dataset, spec, run.model.options);
    return splits;
  } catch (const IoError& error) {
    if (named) throw;
    reason = error.what();
  } catch (const ShapeError& error) {
    if (named) throw;
    reason = error.what();
  }
  return std::nullopt;
}

Examined examine(const DoctorArguments& arguments, const LoadedRun& run) {
  deploy::DoctorOptions options = options_for(arguments, run);
  // Networks trained here gave logits then, whatever ends them. The Sigmoid of one output stays:
  // what would take its place is no layer of the network.
  if (!run.settings) {
    const Shape batch = batch_shape(run);
    const deploy::Scores scores = deploy::scores_of(*run.model.network, batch);
    if (scores == deploy::Scores::probabilities)
      (void)deploy::give_logits(*run.model.network, batch);
    options.probabilities = scores == deploy::Scores::independent;
  }
  std::string reason = reason_against_data(arguments, run);
  if (reason.empty()) {
    const std::string spec = data_of("doctor", arguments.data, arguments.run, run);
    if (const auto splits = find_data(arguments, run, spec, reason)) {
      const data::Dataset& dataset = part_of("doctor", *splits, spec, arguments.part);
      return {deploy::diagnose(*run.model.network, dataset, run.normalization(), options), spec};
    }
  }
  Examined result{deploy::diagnose(*run.model.network, options), ""};
  result.diagnosis.left_out.back() = "what needs data: " + reason;
  return result;
}

int code_of(const deploy::Diagnosis& diagnosis) {
  const auto worst = diagnosis.worst();
  if (worst == deploy::Severity::error) return kErrors;
  return worst == deploy::Severity::warning ? kWarnings : 0;
}

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count == 0 ? "no" : fmt::format("{}", count), what,
                     count == 1 ? "" : "s");
}

std::string verdict(const deploy::Diagnosis& diagnosis) {
  using enum deploy::Severity;
  const std::size_t notes = diagnosis.count(info);
  return fmt::format("{}, {}{}", counted(diagnosis.count(error), "error"),
                     counted(diagnosis.count(warning), "warning"),
                     notes == 0 ? "" : ", " + counted(notes, "note"));
}

std::string name_of(const deploy::Finding& finding) {
  if (finding.layer.empty() && finding.type.empty()) return "the network";
  if (finding.layer.empty()) return finding.type;
  return finding.type.empty() ? finding.layer : fmt::format("{} {}", finding.type, finding.layer);
}

/// "12 layers: 1, 4, 7, … (8 more)"
std::string layers_text(std::span<const deploy::Finding> alike) {
  constexpr std::size_t kShown = 6;
  if (alike.size() == 1) return name_of(alike.front());
  std::string text = fmt::format("{} layers: ", alike.size());
  for (std::size_t i = 0; i < std::min(alike.size(), kShown); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", alike[i].layer);
  }
  if (alike.size() > kShown) text += fmt::format(" and {} more", alike.size() - kShown);
  return text;
}

void add_paragraph(std::string& text, std::string_view head, const std::string& words) {
  constexpr std::size_t kWidth = 80, kIndent = 9;
  std::string line(head);
  for (const std::string& part : wrapped(words, kWidth - kIndent)) {
    text += line + std::string(kIndent - std::min(kIndent, width_of(line)), ' ') + part + "\n";
    line.clear();
  }
}

/// Findings of one kind and severity as one entry.
std::string findings_text(std::span<const deploy::Finding> findings) {
  std::string text;
  for (std::size_t i = 0; i < findings.size();) {
    const deploy::Finding& first = findings[i];
    std::size_t end = i;
    while (end < findings.size() && findings[end].name == first.name &&
           findings[end].severity == first.severity) {
      ++end;
    }
    const auto alike = findings.subspan(i, end - i);
    text += "\n";
    add_paragraph(text, name_of(first.severity),
                  fmt::format("{}: {}", first.name, layers_text(alike)));
    const bool same =
        std::ranges::all_of(alike, [&](const auto& one) { return one.evidence == first.evidence; });
    add_paragraph(text, "  seen",
                  same ? first.evidence : fmt::format("{}: {}", first.layer, first.evidence));
    add_paragraph(text, "  so", first.consequence);
    add_paragraph(text, "  do", first.remedy);
    i = end;
  }
  return text;
}

std::string text_of(const Examined& examined, const LoadedRun& run,
                    const DoctorArguments& arguments) {
  const deploy::Diagnosis& diagnosis = examined.diagnosis;
  Table table({{"", Table::Align::left}, {"", Table::Align::left}});
  table.add({"network",
             fmt::format("{}, {}", run.model.options.net, counted(diagnosis.norms, "batch norm"))});
  table.add({"weights", run.origin()});
  if (!examined.data.empty()) {
    table.add(
        {"data", fmt::format("{}, {} {} samples in batches of {}", examined.data,
                             grouped(diagnosis.samples), arguments.part, diagnosis.batch_size)});
  }
  if (diagnosis.running && !diagnosis.batch) {
    table.add({"accuracy", percent(diagnosis.running->accuracy)});
  }
  if (diagnosis.running && diagnosis.batch) {
    table.add({"accuracy", fmt::format("{} with the running statistics, {} with the batches'",
                                       percent(diagnosis.running->accuracy),
                                       percent(diagnosis.batch->accuracy))});
  }
  for (const std::string& what : diagnosis.left_out) table.add({"left out", what});
  return table.str() + findings_text(diagnosis.findings) + "\n" + verdict(diagnosis) + "\n";
}

Json quality_json(const std::optional<deploy::Quality>& quality) {
  if (!quality) return nullptr;
  return {{"accuracy", quality->accuracy}, {"loss", quality->loss}};
}

Json json_of(const Examined& examined, const LoadedRun& run, const DoctorArguments& arguments) {
  const deploy::Diagnosis& diagnosis = examined.diagnosis;
  Json findings = Json::array();
  for (const deploy::Finding& one : diagnosis.findings) {
    findings.push_back({{"name", one.name},
                        {"severity", name_of(one.severity)},
                        {"layer", one.layer},
                        {"type", one.type},
                        {"evidence", one.evidence},
                        {"consequence", one.consequence},
                        {"remedy", one.remedy}});
  }
  using enum deploy::Severity;
  Json json{{"run", arguments.run},
            {"file", run.model.file.string()},
            {"net", run.model.options.net},
            {"batch_norms", diagnosis.norms},
            {"errors", diagnosis.count(error)},
            {"warnings", diagnosis.count(warning)},
            {"infos", diagnosis.count(info)},
            {"findings", findings},
            {"left_out", diagnosis.left_out}};
  if (!examined.data.empty()) {
    json["data"] = examined.data;
    json["part"] = arguments.part;
    json["samples"] = diagnosis.samples;
    json["batch_size"] = diagnosis.batch_size;
    json["running"] = quality_json(diagnosis.running);
    json["batch"] = quality_json(diagnosis.batch);
    json["normalization"] = inputs_json(run);
  }
  return json;
}

int run_doctor(const DoctorArguments& arguments) {
  if (arguments.no_data && !arguments.data.empty()) {
    fail<UsageError>("[doctor] --data and --no-data exclude each other; leave one out");
  }
  use_threads(arguments.threads);
  LoadedRun run = load(arguments.run, arguments.input);
  set_inputs("doctor", run, arguments.inputs);
  const Examined examined = examine(arguments, run);
  if (arguments.json) {
    print_json(json_of(examined, run, arguments));
  } else {
    print(text_of(examined, run, arguments));
  }
  if (!examined.data.empty()) note_inputs(run);
  return code_of(examined.diagnosis);
}

}  // namespace

Action define_doctor(CLI::App& app) {
  auto arguments = std::make_shared<DoctorArguments>();
  app.add_option("RUN|MODEL", arguments->run,
                 "a run folder, a .safetensors file of one, or an .onnx model")
      ->required()
      ->option_text(" ");
  app.add_option("--data", arguments->data, "the data set (the run's own, if it is there)")
      ->option_text("SPEC");
  app.add_flag("--no-data", arguments->no_data, "look at the network alone");
  app.add_option("--part", arguments->part, "train, validation or test (train)")
      ->check(CLI::IsMember({"train", "validation", "test"}))
      ->option_text("NAME");
  app.add_option("--samples", arguments->samples, "so many of them at most, drawn; 0: all (2048)")
      ->option_text("N");
  app.add_option("--batch-size", arguments->batch_size,
                 "samples at a time (as in training, else 64)")
      ->option_text("N");
  add_open_input(app, arguments->input);
  add_inputs(app, arguments->inputs);
  add_threads(app, arguments->threads);
  add_json(app, arguments->json);
  app.footer(
      "Each finding has a name (docs/doctor.md explains it), the layers, what was seen,\n"
      "what follows from it and what to do.\n\n"
      "Exit code: 0 nothing but notes, 3 warnings, 4 errors; 1 and 2 as everywhere:\n"
      "it could not be done, the command line is wrong.\n\n"
      "Examples:\n"
      "  evenkeel doctor runs/mnist\n"
      "  evenkeel doctor runs/mnist --no-data --json\n"
      "  evenkeel doctor resnet50.onnx --data cifar10:DIR");
  return [arguments] { return run_doctor(*arguments); };
}

}  // namespace evenkeel::app
