#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

#include <evenkeel/core/shell_word.h>
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

/// "60,000"
std::string grouped(std::int64_t value) {
  std::string digits = fmt::format("{}", value);
  for (std::size_t i = digits.size(); i > 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

/// At most nine columns for any value.
std::string loss_text(double loss) {
  return std::abs(loss) < 1000 || !std::isfinite(loss) ? fmt::format("{:.4f}", loss)
                                                       : fmt::format("{:.2e}", loss);
}

/// The parts one after another with commas, on as many lines as they need.
std::string packed(const std::vector<std::string>& parts) {
  constexpr std::size_t kWidth = 80;
  std::string text, line;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string part = parts[i] + (i + 1 < parts.size() ? "," : "");
    if (!line.empty() && line.size() + 1 + part.size() > kWidth) {
      text += line + "\n";
      line.assign(1, ' ');  // and the blank before the part
    }
    line += (line.empty() ? "" : " ") + part;
  }
  return text + line;
}

/// What was found and where the run goes on.
std::string resume_text(const ResumePoint& at, const RunInfo& info) {
  if (at.checkpoint.empty()) return "resumed: no checkpoint yet, from the beginning";
  const std::string passed =
      at.damaged > 0 ? fmt::format(" ({} newer damaged)", at.damaged) : std::string();
  const std::string where =
      at.finished ? "training is complete"
                  : fmt::format("on with epoch {} of {}, batch {} of {}", at.epoch,
                                info.settings.epochs, at.batch + 1, info.steps_per_epoch);
  return packed({fmt::format("resumed from {}{}", at.checkpoint, passed),
                 fmt::format("step {} of {}", grouped(at.step), grouped(info.total_steps)), where});
}

/// Whether it is a terminal that knows the sequences which wipe a line away.
bool can_wipe(std::FILE* stream) {
  const char* const type = std::getenv("TERM");
  return ::isatty(::fileno(stream)) != 0 && type != nullptr && *type != '\0' &&
         std::string_view(type) != "dumb";
}

/// Output that cannot be written must not end a run; the command says so at its end.
void say(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

std::size_t columns_of(std::FILE* terminal) {
  winsize size{};
  const bool known = ::ioctl(::fileno(terminal), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

std::string bar_text(double part, std::size_t width) {
  const auto full = static_cast<std::size_t>(part * static_cast<double>(width));
  return std::string(std::min(full, width), '=') + std::string(width - std::min(full, width), ' ');
}

}  // namespace

std::optional<std::int64_t> TrainResult::steps_to(double accuracy) const {
  for (const StepEvaluation& at : evaluations) {
    if (at.evaluation.accuracy >= accuracy) return at.step;
  }
  return std::nullopt;
}

TerminalReporter::TerminalReporter(std::FILE* lines, std::FILE* bar)
    : lines_(lines), bar_(bar), interactive_(can_wipe(bar)) {}

void TerminalReporter::on_start(const RunInfo& info) {
  const Settings& s = info.settings;
  validation_ = info.validation_samples > 0;
  epochs_ = s.epochs;
  std::vector<std::string> data{
      fmt::format("{} on {}: {} parameters", s.net, s.data, grouped(info.parameters)),
      fmt::format("{} training samples", grouped(info.train_samples))};
  if (validation_) {
    data.push_back(fmt::format("{} for validation", grouped(info.validation_samples)));
  }
  data.push_back(fmt::format("{} test samples", grouped(info.test_samples)));
  print(packed(data));
  print(packed({fmt::format("norm {}", s.norm),
                fmt::format("{} lr {:.4g} {}", s.optimizer, s.lr.value_or(0), s.schedule),
                fmt::format("batch {}", s.batch_size), fmt::format("seed {}", s.seed),
                fmt::format("run folder {}", info.folder.string())}));
  if (info.resumed) print(resume_text(*info.resumed, info));
  print(row("epoch", "loss", "train acc", "valid. acc", "lr", "seconds"));
}

void TerminalReporter::on_step(const StepInfo& info) {
  if (!interactive_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < kRedraw) return;
  drawn_ = now;
  const double part = static_cast<double>(info.step) / static_cast<double>(info.total_steps);
  const double left = info.seconds / static_cast<double>(info.steps_taken) *
                      static_cast<double>(info.total_steps - info.step);
  const std::string epoch = fmt::format("{:>7}", fmt::format("{}/{}", info.epoch, epochs_));
  const std::string rest =
      fmt::format("{:3.0f} %  loss {:>6}  acc {:>8}  {} left", 100 * part, loss_text(info.loss),
                  percent(info.accuracy), clock_text(left));
  // A line that wraps cannot be wiped away; the last column is left free.
  const std::size_t columns = columns_of(bar_) - 1;
  const std::size_t used = epoch.size() + rest.size() + 5;
  std::string line = epoch + "  ";
  if (columns >= used + 8) {
    line += fmt::format("[{}] ", bar_text(part, std::min<std::size_t>(columns - used, 30)));
  }
  line += rest;
  say(bar_, "\r\x1b[K" + line.substr(0, columns));
  bar_shown_ = true;
}

void TerminalReporter::on_epoch(const EpochRecord& record) {
  std::string line =
      row(fmt::format("{}/{}", record.epoch, epochs_), loss_text(record.loss),
          percent(record.accuracy), record.validation ? percent(record.validation->accuracy) : "",
          fmt::format("{:.3g}", record.lr), fmt::format("{:.1f}", record.seconds));
  if (record.skipped > 0) line += fmt::format("  {} skipped", record.skipped);
  print(line);
}

void TerminalReporter::on_end(const TrainResult& result) {
  if (!result.finished) {
    print(fmt::format("interrupted after step {}; go on with:\n  evenkeel train --out {} --resume",
                      grouped(result.steps), shell_word(result.folder.string())));
    return;
  }
  if (result.stopped_early) {
    print(fmt::format("stopped early: epoch {} was the best ({} on the validation part)",
                      result.best_epoch, percent(result.best_accuracy)));
  }
  if (result.test) {
    print(fmt::format("test accuracy {}, loss {} ({} samples)", percent(result.test->accuracy),
                      loss_text(result.test->loss), grouped(result.test->count)));
  }
  const auto print_average = [this](const std::optional<Evaluation>& average, const char* name) {
    if (!average) return;
    print(fmt::format("averaged weights ({0}.safetensors): test accuracy {1}, loss {2}", name,
                      percent(average->accuracy), loss_text(average->loss)));
  };
  print_average(result.ema, "ema");
  print_average(result.swa, "swa");
  print(fmt::format("{} steps in {:.1f} s, {} samples/s", grouped(result.steps), result.seconds,
                    grouped(std::llround(result.samples_per_second))));
}

void TerminalReporter::on_warning(const std::string& text) {
  clear_bar();
  say(bar_, fmt::format("warning: {}\n", text));
}

std::string TerminalReporter::row(const std::string& epoch, const std::string& loss,
                                  const std::string& train, const std::string& validation,
                                  const std::string& lr, const std::string& seconds) const {
  const std::size_t digits = fmt::format("{}", epochs_).size();
  return fmt::format("{:>{}}  {:>9}  {:>9}{}  {:>8}  {:>7}", epoch,
                     std::max<std::size_t>(7, 2 * digits + 1), loss, train,
                     validation_ ? fmt::format("  {:>10}", validation) : "", lr, seconds);
}

void TerminalReporter::clear_bar() {
  if (!bar_shown_) return;
  say(bar_, "\r\x1b[K");
  bar_shown_ = false;
}

void TerminalReporter::print(const std::string& line) {
  clear_bar();
  say(lines_, line + "\n");
}

}  // namespace evenkeel::train
