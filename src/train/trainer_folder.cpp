// The folder of a run: opened, resumed from, and what is saved in it.
#include "train/run_path.h"
#include "train/trainer_impl.h"
#include <evenkeel/io/checksum.h>
#include <evenkeel/io/file.h>

namespace evenkeel::train {
namespace {

/// What makes a run this one: the settings that a resumed run may not change.
std::string identity_of(const Settings& settings) {
  model::Config config = to_config(settings);
  const OptionValue none{std::string()};
  for (const SettingField& field : setting_fields()) {
    if (field.stored && field.free_on_resume) config.values.set(field.key, none);
  }
  const std::string text = model::to_toml(config);
  return fmt::format("{:08x}", io::crc32c(std::as_bytes(std::span(text))));
}

}  // namespace

void Trainer::Impl::open_folder() {
  if (settings.resume) {
    folder = model::RunFolder::open(settings.out);
    check_same_run(settings, stored_settings(settings.out));
    io::probe_writable(folder->path());
  } else {
    if (settings.out.empty()) settings.out = free_run_path(settings).string();
    folder = model::RunFolder::create(settings.out, settings.replace);
  }
  checkpoints.emplace(folder->checkpoints(), identity_of(settings));
  checkpoints->prepare();
  if (!settings.resume) {
    Settings stored = settings;
    stored.replace = false;  // whoever starts another run from this file must ask for it again
    io::write_file_atomic(folder->config(), std::string_view(model::to_toml(to_config(stored))));
  }
}

void Trainer::Impl::restore() {
  auto found =
      checkpoints->read_newest([this](const std::string& text) { reporter.on_warning(text); });
  if (found) {
    network->load_state_dict(found->checkpoint.network);
    optimizer->load_state_dict(found->checkpoint.optimizer);
    averages->load_state_dict(found->checkpoint.averages);
    progress = std::move(found->checkpoint.progress);
    saved_step = progress.step;
  } else {
    reporter.on_warning(fmt::format(
        "[train] '{}' has no checkpoint yet; starting from the beginning", settings.out));
    found.emplace();
  }
  resumed = ResumePoint{found->name,        found->damaged, progress.step,
                        progress.epoch + 1, progress.batch, ended()};
  // Lines written after the checkpoint will be written again.
  std::error_code ignored;
  const auto written = std::filesystem::file_size(folder->metrics(), ignored);
  const auto kept = static_cast<std::uintmax_t>(progress.metrics_bytes);
  if (!ignored && written > kept) std::filesystem::resize_file(folder->metrics(), kept, ignored);
}

void Trainer::Impl::save_checkpoint() {
  std::error_code ignored;
  const auto written = std::filesystem::file_size(folder->metrics(), ignored);
  progress.metrics_bytes = ignored ? 0 : static_cast<std::int64_t>(written);
  auto metadata = model::network_metadata(options, recipe());
  metadata.emplace("step", fmt::format("{}", progress.step));
  checkpoints->write({network->state_dict(), optimizer->state_dict(), averages->state_dict(),
                      progress, std::move(metadata)});
  saved_step = progress.step;
}

/// In the middle of a run: an error is said, and the next checkpoint tries again.
void Trainer::Impl::try_checkpoint() {
  try {
    save_checkpoint();
    unsaved.clear();
  } catch (const IoError& error) {
    unsaved = error.what();
    if (ended()) return;  // finish() says it
    reporter.on_warning(fmt::format("[train] no checkpoint of step {}: {}; training goes on, {}",
                                    progress.step, error.what(), last_checkpoint()));
  }
}

/// Of a run that is interrupted: what is not saved now is lost.
void Trainer::Impl::save_last_checkpoint() {
  if (saved_step == progress.step) return;
  try {
    save_checkpoint();
  } catch (const IoError& error) {
    fail<IoError>("[train] interrupted after step {}, which is not saved: {}; {}", progress.step,
                  error.what(), last_checkpoint());
  }
}

std::string Trainer::Impl::last_checkpoint() const {
  return saved_step ? fmt::format("the last checkpoint is of step {}", *saved_step)
                    : "there is no checkpoint yet";
}

void Trainer::Impl::save_weights(const std::filesystem::path& path,
                                 const std::map<std::string, std::string>& extra) {
  model::save_network(path, *network, options, recipe(), extra);
}

void Trainer::Impl::save_final_weights(TrainResult& result) {
  std::map<std::string, std::string> extra{{"step", fmt::format("{}", progress.step)}};
  if (splits.test.size() > 0) {
    result.test = evaluate_on(splits.test);
    extra["test_accuracy"] = fmt::format("{}", result.test->accuracy);
  }
  try {
    save_weights(folder->weights(), extra);
  } catch (const IoError& error) {
    fail<IoError>("[train] training is complete, but its weights are not saved: {}; {}",
                  error.what(), last_checkpoint());
  }
}

void Trainer::Impl::save_averages(TrainResult& result) {
  result.ema = save_average(averages->ema(), folder->ema());
  result.swa = save_average(averages->swa(), folder->swa());
}

/// With running statistics of its own: those of the run belong to other weights.
std::optional<Evaluation> Trainer::Impl::save_average(const std::optional<WeightAverage>& average,
                                                      const std::filesystem::path& path) {
  if (!average) return std::nullopt;
  const std::string name = path.stem().string();
  if (average->count() == 0) {
    reporter.on_warning(fmt::format("[train] the run ended before {} began; there is no {}", name,
                                    path.filename().string()));
    return std::nullopt;
  }
  std::map<std::string, std::string> extra{
      {"step", fmt::format("{}", progress.step)},
      {"average", fmt::format("{} of {} weights", name, average->count())}};
  std::optional<Evaluation> evaluation;
  try {
    const std::unique_ptr<nn::Module> copy =
        averaged(*network, *average, splits.train, loader->options());
    if (splits.test.size() > 0) {
      evaluation = evaluate_on(splits.test, *copy);
      extra["test_accuracy"] = fmt::format("{}", evaluation->accuracy);
    }
    model::save_network(path, *copy, options, recipe(), extra);
  } catch (const Error& error) {
    fail<IoError>("[train] training is complete, but its averaged weights are not saved: {}; {}",
                  error.what(), last_checkpoint());
  }
  return evaluation;
}

}  // namespace evenkeel::train
