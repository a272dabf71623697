#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/optim/schedule.h>

namespace evenkeel::optim {
namespace {

/// From `start` (part 0) to `end` (part 1) along half a cosine wave.
double cosine_between(double start, double end, double part) {
  return end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * part));
}

ScheduleShape make_constant(const std::vector<double>& /*numbers*/) {
  return [](const SchedulePosition&) { return 1.0; };
}

ScheduleShape make_step(const std::vector<double>& numbers) {
  const double epochs = numbers[0];
  const double factor = numbers[1];
  if (!(epochs >= 1) || epochs != std::floor(epochs)) {
    fail<UsageError>("[schedule] step expects a whole number of epochs from 1, got {}", epochs);
  }
  if (!(factor > 0)) fail<UsageError>("[schedule] step expects a factor above 0, got {}", factor);
  return [=](const SchedulePosition& at) {
    const double epoch = std::floor(static_cast<double>(at.step / at.steps_per_epoch) / epochs);
    return std::pow(factor, epoch);
  };
}

ScheduleShape make_cosine(const std::vector<double>& /*numbers*/) {
  return [](const SchedulePosition& at) {
    const auto step = static_cast<double>(at.step - at.warmup);
    return cosine_between(1, 0, step / static_cast<double>(at.total_steps - at.warmup));
  };
}

ScheduleShape make_one_cycle(const std::vector<double>& numbers) {
  const double up = numbers[0];
  if (!(up >= 0 && up <= 1)) {
    fail<UsageError>("[schedule] one-cycle expects the rising part from 0 to 1, got {}", up);
  }
  return [=](const SchedulePosition& at) {
    constexpr double kFirst = 1.0 / 25;
    constexpr double kLast = kFirst / 1e4;
    const auto step = static_cast<double>(at.step - at.warmup);
    const auto total = static_cast<double>(at.total_steps - at.warmup);
    const double top = up * total - 1;  // may be negative: then the run begins on the way down
    const double end = total - 1;
    if (step <= top || end <= top) return top > 0 ? cosine_between(kFirst, 1, step / top) : 1.0;
    return cosine_between(1, kLast, (step - top) / (end - top));
  };
}

const std::array<ScheduleRow, 4> kSchedules{{
    {"constant", "constant", "the same rate throughout", {}, make_constant},
    {"step", "step:EPOCHS,FACTOR", "times FACTOR every EPOCHS epochs", {10, 0.1}, make_step},
    {"cosine", "cosine", "from the rate to 0 along half a cosine wave", {}, make_cosine},
    {"one-cycle",
     "one-cycle:UP",
     "up to the rate over the part UP of the run, then down to almost 0",
     {0.3},
     make_one_cycle},
}};

const ScheduleRow& find_row(const std::string& name) {
  std::vector<std::string> names;
  for (const ScheduleRow& row : kSchedules) {
    if (row.name == name) return row;
    names.push_back(row.name);
  }
  const std::string hint = did_you_mean(name, names);
  if (!hint.empty()) fail<UsageError>("[schedule] unknown schedule '{}'{}", name, hint);
  fail<UsageError>(
      "[schedule] unknown schedule '{}'; there are constant, step:EPOCHS,FACTOR, "
      "cosine, one-cycle:UP",
      name);
}

double parse_number(std::string_view text, const ScheduleRow& row) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    fail<UsageError>("[schedule] expected a number in '{}', got '{}'", row.pattern, text);
  }
  return value;
}

std::vector<double> parse_numbers(std::string_view text, const ScheduleRow& row) {
  std::vector<double> numbers = row.defaults;
  for (std::size_t i = 0;; ++i) {
    if (i >= numbers.size()) {
      fail<UsageError>("[schedule] '{}' has too many numbers; expected '{}'", row.name,
                       row.pattern);
    }
    const std::size_t comma = text.find(',');
    numbers[i] = parse_number(text.substr(0, comma), row);
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::span<const ScheduleRow> schedules() { return kSchedules; }

Schedule::Schedule(const std::string& spec, ScheduleOptions options)
    : spec_(spec), options_(options) {
  if (!(options.lr >= 0) || !std::isfinite(options.lr)) {
    fail<UsageError>("[schedule] expected a finite learning rate of 0 or more, got {}", options.lr);
  }
  if (options.warmup < 0 || options.steps_per_epoch < 1) {
    fail<UsageError>(
        "[schedule] expected a warm-up of 0 or more steps and 1 or more steps per epoch, got {} "
        "and {}",
        options.warmup, options.steps_per_epoch);
  }
  const std::size_t colon = spec.find(':');
  const ScheduleRow& row = find_row(spec.substr(0, colon));
  shape_ = row.make(colon == std::string::npos
                        ? row.defaults
                        : parse_numbers(std::string_view(spec).substr(colon + 1), row));
}

double Schedule::lr_at(std::int64_t step, std::int64_t total_steps) const {
  const std::int64_t last = std::max<std::int64_t>(total_steps, 1) - 1;
  const std::int64_t at = std::clamp<std::int64_t>(step, 0, last);
  if (at < options_.warmup) {
    return options_.lr * (static_cast<double>(at + 1) / static_cast<double>(options_.warmup));
  }
  return options_.lr * shape_({at, last + 1, options_.warmup, options_.steps_per_epoch});
}

}  // namespace evenkeel::optim
