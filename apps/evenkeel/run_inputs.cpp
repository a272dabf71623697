#include "run_inputs.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <evenkeel/core/error.h>

namespace evenkeel::app {

void add_inputs(CLI::App& app, InputNumbers& inputs, const std::string& group) {
  const auto add = [&](const char* flag, std::vector<float>& place, const char* help) {
    CLI::Option* option = app.add_option(flag, place, help)->delimiter(',')->option_text("X,...");
    if (!group.empty()) option->group(group);
  };
  add("--mean", inputs.mean,
      group.empty()
          ? "per channel, subtracted from inputs in [0, 1], where the model does not say it"
          : "per channel, subtracted from inputs in [0, 1]");
  add("--std", inputs.stddev, "per channel, which they are then divided by");
}

void check_inputs(std::string_view command, const InputNumbers& inputs, std::int64_t channels) {
  if (inputs.mean.size() != inputs.stddev.size()) {
    fail<UsageError>("[{}] --mean and --std go together; give both, one number per channel",
                     command);
  }
  for (const float mean : inputs.mean) {
    if (!std::isfinite(mean)) {
      fail<UsageError>("[{}] --mean must be finite numbers, got {}", command, mean);
    }
  }
  for (const float deviation : inputs.stddev) {
    if (!(deviation > 0) || !std::isfinite(deviation)) {
      fail<UsageError>("[{}] --std must be finite numbers above 0, got {}", command, deviation);
    }
  }
  if (channels > 0 && inputs.given() && std::ssize(inputs.mean) != channels) {
    fail<UsageError>("[{}] --mean and --std want {} number{}, one per channel, got {}", command,
                     channels, channels == 1 ? "" : "s", inputs.mean.size());
  }
}

void set_inputs(std::string_view command, LoadedRun& run, const InputNumbers& inputs) {
  model::InputRecipe& recipe = run.model.recipe;
  const Shape& sample = run.model.options.input;
  check_inputs(command, inputs, sample.rank() > 0 ? sample[0] : 1);
  if (!inputs.given()) return;
  if (!recipe.mean.empty()) {
    fail<UsageError>("[{}] '{}' says how its inputs are normalized; leave --mean and --std out",
                     command, run.model.file.string());
  }
  recipe.mean = inputs.mean;
  recipe.stddev = inputs.stddev;
  run.model.has_recipe = true;
}

void note_inputs(const LoadedRun& run) {
  if (run.model.has_recipe) return;
  fmt::print(stderr,
             "evenkeel: note: '{}' does not say how inputs are normalized: images go in scaled to "
             "0..1, other values as they are; --mean and --std say it\n",
             run.model.file.string());
}

Json inputs_json(const LoadedRun& run) {
  if (!run.model.has_recipe) return nullptr;
  return {{"mean", run.model.recipe.mean}, {"std", run.model.recipe.stddev}};
}

}  // namespace evenkeel::app
