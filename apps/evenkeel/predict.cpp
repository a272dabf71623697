// evenkeel predict

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include <fmt/format.h>

#include "command.h"
#include "loaded_run.h"
#include "samples.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/nn/fixed_batch.h>

namespace evenkeel::app {
namespace {

struct PredictArguments {
  std::string run;
  std::vector<std::string> files;
  std::vector<std::int64_t> input;
  std::int64_t top = 1;
  int threads = 0;
  bool json = false;
};

struct Guess {
  std::int64_t label;
  double probability;
};

/// The most probable classes of one row of logits, best first.
std::vector<Guess> best_guesses(std::span<const float> logits, std::int64_t top) {
  const auto largest = static_cast<double>(*std::ranges::max_element(logits));
  std::vector<Guess> guesses;
  double sum = 0;
  for (const float logit : logits) {
    const double weight = std::exp(static_cast<double>(logit) - largest);
    sum += weight;
    guesses.push_back({static_cast<std::int64_t>(guesses.size()), weight});
  }
  for (Guess& guess : guesses) guess.probability /= sum;
  std::ranges::stable_sort(guesses, std::greater<>(), &Guess::probability);
  guesses.resize(std::min(guesses.size(), static_cast<std::size_t>(top)));
  return guesses;
}

/// The guesses of every sample of a file, prepared as in training.
std::vector<std::vector<Guess>> classify(LoadedRun& run, const FileSamples& file,
                                         std::int64_t top) {
  data::Dataset dataset;
  dataset.samples = file.samples;
  dataset.labels.assign(static_cast<std::size_t>(file.samples.dim(0)), 0);
  dataset.lengths = file.lengths;
  dataset.classes = run.model.options.classes;
  data::LoaderOptions options;
  options.batch_size = run.batch.value_or(256);
  options.last = data::LastBatch::keep_all;
  options.normalization = run.normalization();
  options.layout = run.layout();
  options.dtype = run.dtype();
  options.prefetch = false;
  data::Loader loader(dataset, options);
  loader.start(0);
  std::vector<std::vector<Guess>> result;
  const auto classes = static_cast<std::size_t>(dataset.classes);
  for (data::Batch batch; loader.next(batch);) {
    const nn::LengthsScope lengths(*run.model.network, nn::Lengths(batch.lengths));
    const Tensor logits =
        nn::forward_filled(*run.model.network, batch.x, run.batch.value_or(batch.size()))
            .to(DType::f32);
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch.size()); ++i) {
      result.push_back(best_guesses(logits.span<float>().subspan(i * classes, classes), top));
    }
  }
  return result;
}

void add_lines(Table& table, const LoadedRun& run, const std::string& name,
               const std::vector<Guess>& guesses, const std::string& note) {
  for (std::size_t i = 0; i < guesses.size(); ++i) {
    table.add({i == 0 ? name : "", run.class_name(guesses[i].label),
               percent(guesses[i].probability), i == 0 && !note.empty() ? "(" + note + ")" : ""});
  }
}

Json guesses_json(const LoadedRun& run, const std::vector<Guess>& guesses) {
  Json list = Json::array();
  for (const Guess& guess : guesses) {
    list.push_back({{"class", guess.label},
                    {"label", run.class_name(guess.label)},
                    {"probability", guess.probability}});
  }
  return list;
}

int run_predict(const PredictArguments& arguments) {
  if (arguments.top < 1)
    fail<UsageError>("[predict] --top must be 1 or more, got {}", arguments.top);
  use_threads(arguments.threads);
  LoadedRun run = load(arguments.run, arguments.input);
  Table table({{"input"}, {"label"}, {"probability", Table::Align::right}, {""}});
  Json list = Json::array();
  for (const std::string& path : arguments.files) {
    const FileSamples file = read_samples(path, run.model.options.input);
    const auto results = classify(run, file, arguments.top);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const std::string name = file.is_image ? path : fmt::format("{}, row {}", path, i + 1);
      add_lines(table, run, name, results[i], file.note);
      Json entry{{"file", path}};
      if (!file.is_image) entry["row"] = i + 1;
      if (!file.note.empty()) entry["note"] = file.note;
      entry.update(guesses_json(run, results[i]).front());
      if (arguments.top > 1) entry["top"] = guesses_json(run, results[i]);
      list.push_back(std::move(entry));
    }
  }
  if (arguments.json) {
    print_json(Json{{"run", arguments.run}, {"predictions", std::move(list)}});
  } else {
    print(table.str());
  }
  return 0;
}

}  // namespace

Action define_predict(CLI::App& app) {
  auto arguments = std::make_shared<PredictArguments>();
  add_run(app, arguments->run);
  app.add_option("FILE", arguments->files,
                 "images (.png, .pgm, .ppm), rows (.csv, .npy), sequences (.txt)")
      ->required()
      ->option_text(" ");
  app.add_option("--top", arguments->top, "so many classes for each input (1)")->option_text("N");
  add_open_input(app, arguments->input);
  add_threads(app, arguments->threads);
  add_json(app, arguments->json);
  app.footer(
      "Images are resized and turned grey or RGB as the network needs them; their\n"
      "values are taken as they are: networks trained on glyphs or MNIST expect light\n"
      "digits on a dark ground. Rows hold the values in the order of training; a label\n"
      "column is left out. Sequences are written as for training (class lines are passed\n"
      "over), or one step per line with an empty line between two of them.\n\n"
      "Examples:\n"
      "  evenkeel predict runs/mnist seven.png\n"
      "  evenkeel predict runs/mnist --top 3 *.png\n"
      "  evenkeel predict runs/iris flowers.csv --json");
  return [arguments] { return run_predict(*arguments); };
}

}  // namespace evenkeel::app
