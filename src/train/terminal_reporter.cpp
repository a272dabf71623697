#include <algorithm>
#include <cmath>

#include <unistd.h>

#include <evenkeel/train/reporter.h>

namespace evenkeel::train {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);

std::string percent(double part) { return fmt::format("{:.2f} %", 100 * part); }

/// "1:05" or "2:03:04"
std::string clock_text(double seconds) {
  const auto total = static_cast<std::int64_t>(std::max(0.0, seconds) + 0.5);
  const std::int64_t hours = total / 3600, minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  return fmt::format("{}:{:02}", minutes, total % 60);
}

/// A path as one would type it.
std::string shell_word(const std::string& path) {
  if (path.find_first_of(" \t\n'\"\\$`&;()<>|*?[]~#!{}") == std::string::npos) return path;
  std::string quoted = "'";
  for (const char c : path) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string bar_text(double part, std::size_t width) {
  const auto full = static_cast<std::size_t>(part * static_cast<double>(width));
  return std::string(std::min(full, width), '=') + std::string(width - std::min(full, width), ' ');
}

/// Columns of the table; the validation column only where there is one.
std::string row(bool validation, const std::string& epoch, const std::string& loss,
                const std::string& train, const std::string& value, const std::string& lr,
                const std::string& seconds) {
  return fmt::format("{:>7}  {:>8}  {:>9}{}  {:>9}  {:>7}", epoch, loss, train,
                     validation ? fmt::format("  {:>10}", value) : "", lr, seconds);
}

}  // namespace

std::optional<std::int64_t> TrainResult::steps_to(double accuracy) const {
  for (const StepEvaluation& at : evaluations) {
    if (at.evaluation.accuracy >= accuracy) return at.step;
  }
  return std::nullopt;
}

TerminalReporter::TerminalReporter(std::FILE* lines, std::FILE* bar)
    : lines_(lines), bar_(bar), interactive_(::isatty(::fileno(bar)) != 0) {}

void TerminalReporter::on_start(const RunInfo& info) {
  const Settings& s = info.settings;
  validation_ = info.validation_samples > 0;
  epochs_ = s.epochs;
  print(fmt::format("{} on {}: {} parameters, {} training samples{}, {} test samples", s.net,
                    s.data, info.parameters, info.train_samples,
                    validation_ ? fmt::format(", {} for validation", info.validation_samples) : "",
                    info.test_samples));
  print(fmt::format("norm {}, {} lr {:.4g} {}, batch {}, seed {}, run folder {}", s.norm,
                    s.optimizer, s.lr.value_or(0), s.schedule, s.batch_size, s.seed,
                    info.folder.string()));
  if (info.resumed_at) {
    print(fmt::format("resumed after step {} of {}", *info.resumed_at, info.total_steps));
  }
  print(row(validation_, "epoch", "loss", "train acc", "valid. acc", "lr", "seconds"));
}

void TerminalReporter::on_step(const StepInfo& info) {
  if (!interactive_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < kRedraw) return;
  drawn_ = now;
  const double part = static_cast<double>(info.step) / static_cast<double>(info.total_steps);
  const double left = info.seconds / static_cast<double>(info.steps_taken) *
                      static_cast<double>(info.total_steps - info.step);
  fmt::print(bar_, "\r\x1b[K{:>7}  [{}] {:3.0f} %  loss {:.4f}  acc {}  {} left",
             fmt::format("{}/{}", info.epoch, epochs_), bar_text(part, 24), 100 * part, info.loss,
             percent(info.accuracy), clock_text(left));
  std::fflush(bar_);
  bar_shown_ = true;
}

void TerminalReporter::on_epoch(const EpochRecord& record) {
  std::string line = row(validation_, fmt::format("{}/{}", record.epoch, epochs_),
                         fmt::format("{:.4f}", record.loss), percent(record.accuracy),
                         record.validation ? percent(record.validation->accuracy) : "",
                         fmt::format("{:.3g}", record.lr), fmt::format("{:.1f}", record.seconds));
  if (record.skipped > 0) line += fmt::format("  {} steps skipped", record.skipped);
  print(line);
}

void TerminalReporter::on_end(const TrainResult& result) {
  if (!result.finished) {
    print(fmt::format("interrupted after step {}; go on with: evenkeel train --out {} --resume",
                      result.steps, shell_word(result.folder.string())));
    return;
  }
  if (result.stopped_early) {
    print(fmt::format("stopped early: epoch {} was the best ({} of the validation samples right)",
                      result.best_epoch, percent(result.best_accuracy)));
  }
  std::string line = fmt::format("{} steps in {:.1f} s, {:.0f} samples/s", result.steps,
                                 result.seconds, result.samples_per_second);
  if (result.test) {
    line = fmt::format("test accuracy {} (loss {:.4f}, {} samples); ",
                       percent(result.test->accuracy), result.test->loss, result.test->count) +
           line;
  }
  print(line);
}

void TerminalReporter::on_warning(const std::string& text) {
  clear_bar();
  fmt::print(bar_, "warning: {}\n", text);
  std::fflush(bar_);
}

void TerminalReporter::clear_bar() {
  if (!bar_shown_) return;
  fmt::print(bar_, "\r\x1b[K");
  std::fflush(bar_);
  bar_shown_ = false;
}

void TerminalReporter::print(const std::string& line) {
  clear_bar();
  fmt::print(lines_, "{}\n", line);
  std::fflush(lines_);
}

}  // namespace evenkeel::train
