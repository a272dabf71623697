// evenkeel predict

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include <fmt/format.h>

#include "command.h"
#include "loaded_run.h"
#include "run_inputs.h"
#include "run_scores.h"
#include "samples.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/shell_word.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/nn/fixed_batch.h>

namespace evenkeel::app {
namespace {

/// Some of the outputs are NaN or infinite.
constexpr int kSpoiled = 1;

struct PredictArguments {
  std::string run;
  std::vector<std::string> files;
  std::vector<std::int64_t> input;
  std::int64_t top = 1;
  InputNumbers inputs;
  int threads = 0;
  bool json = false;
};

struct Guess {
  std::int64_t label;
  double probability;
};

/// The most probable classes of one row of logits, or of probabilities, best first; none where one
/// is NaN or the largest is infinite.
std::vector<Guess> best_guesses(std::span<const float> scores, bool probabilities,
                                std::int64_t top) {
  if (std::ranges::any_of(scores, [](float score) { return std::isnan(score); })) return {};
  const auto largest = static_cast<double>(*std::ranges::max_element(scores));
  if (!std::isfinite(largest)) return {};
  std::vector<Guess> guesses;
  double sum = 0;
  for (const float score : scores) {
    const auto value = static_cast<double>(score);
    const double weight = probabilities ? value : std::exp(value - largest);
    sum += weight;
    guesses.push_back({static_cast<std::int64_t>(guesses.size()), weight});
  }
  for (Guess& guess : guesses) guess.probability /= probabilities ? 1 : sum;
  std::ranges::stable_sort(guesses, std::greater<>(), &Guess::probability);
  guesses.resize(std::min(guesses.size(), static_cast<std::size_t>(top)));
  return guesses;
}

/// The guesses of every sample of a file, prepared as in training.
std::vector<std::vector<Guess>> classify(LoadedRun& run, const FileSamples& file,
                                         bool probabilities, std::int64_t top) {
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
    const Tensor scores =
        nn::forward_filled(*run.model.network, batch.x, run.batch.value_or(batch.size()))
            .to(DType::f32);
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch.size()); ++i) {
      result.push_back(
          best_guesses(scores.span<float>().subspan(i * classes, classes), probabilities, top));
    }
  }
  return result;
}

void add_lines(Table& table, const LoadedRun& run, const std::string& name,
               const std::vector<Guess>& guesses, const std::string& note) {
  if (guesses.empty()) table.add({name, "none", "", "(the outputs are not finite)"});
  for (std::size_t i = 0; i < guesses.size(); ++i) {
    table.add({i == 0 ? name : "", run.class_name(guesses[i].label),
               percent(guesses[i].probability), i == 0 && !note.empty() ? "(" + note + ")" : ""});
  }
}

/// What JSON says in place of a class.
const Json kNoClass{{"class", nullptr}, {"label", nullptr}, {"probability", nullptr}};

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
  set_inputs("predict", run, arguments.inputs);
  const bool probabilities = expect_scores("predict", run);
  std::size_t spoiled = 0, samples = 0;
  Table table({{"input"}, {"label"}, {"probability", Table::Align::right}, {""}});
  Json list = Json::array();
  for (const std::string& path : arguments.files) {
    const FileSamples file = read_samples(path, run.model.options.input);
    const auto results = classify(run, file, probabilities, arguments.top);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const std::string name = file.is_image ? path : fmt::format("{}, row {}", path, i + 1);
      add_lines(table, run, name, results[i], file.note);
      Json entry{{"file", path}};
      if (!file.is_image) entry["row"] = i + 1;
      if (!file.note.empty()) entry["note"] = file.note;
      ++samples;
      if (results[i].empty()) ++spoiled;
      entry.update(results[i].empty() ? kNoClass : guesses_json(run, results[i]).front());
      if (arguments.top > 1) entry["top"] = guesses_json(run, results[i]);
      list.push_back(std::move(entry));
    }
  }
  if (arguments.json) {
    print_json(Json{{"run", arguments.run},
                    {"normalization", inputs_json(run)},
                    {"predictions", std::move(list)}});
  } else {
    print(table.str());
  }
  note_inputs(run);
  if (spoiled == 0) return 0;
  fmt::print(stderr,
             "evenkeel: [predict] the outputs of {} of {} samples are not finite; see 'evenkeel "
             "doctor {}'\n",
             spoiled, samples, shell_word(arguments.run));
  return kSpoiled;
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
  add_inputs(app, arguments->inputs);
  add_threads(app, arguments->threads);
  add_json(app, arguments->json);
  app.footer(
      "Images are resized and turned grey or RGB as the network needs them; their\n"
      "values are taken as they are: networks trained on glyphs or MNIST expect light\n"
      "digits on a dark ground. Rows hold the values in the order of training; a label\n"
      "column is left out. Sequences are written as for training (class lines are passed\n"
      "over), or one step per line with an empty line between two of them.\n"
      "What a Softmax or Sigmoid at the network's end gives is taken as it is; where an\n"
      "output is not finite no class is named and the exit code is 1.\n\n"
      "Examples:\n"
      "  evenkeel predict runs/mnist seven.png\n"
      "  evenkeel predict runs/mnist --top 3 *.png\n"
      "  evenkeel predict runs/iris flowers.csv --json");
  return [arguments] { return run_predict(*arguments); };
}

}  // namespace evenkeel::app
