#include "lab/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void check_pairs(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) {
    fail<ShapeError>("[lab] expected as many values of both arms, got {} and {}", a.size(),
                     b.size());
  }
}

Outcome outcome_of(const Interval& of_difference, double margin) {
  if (of_difference.lo > 0 && of_difference.mean >= margin) return Outcome::yes;
  if (of_difference.hi < 0 && of_difference.mean <= -margin) return Outcome::no;
  return Outcome::unclear;
}

/// Of the ratio whose logarithms gave the interval.
Interval ratio_of(const Interval& of_logs) {
  return {std::exp(of_logs.mean), std::exp(of_logs.lo), std::exp(of_logs.hi), of_logs.n};
}

}  // namespace

double student_t(std::int64_t degrees) {
  constexpr std::array<double, 30> kTable{
      12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
      2.2010,  2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
      2.0796,  2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
  if (degrees < 1) fail<UsageError>("[lab] expected at least 1 degree of freedom, got {}", degrees);
  if (degrees <= static_cast<std::int64_t>(kTable.size())) {
    return kTable[static_cast<std::size_t>(degrees - 1)];
  }
  // Cornish and Fisher's expansion around the normal quantile: four digits from here on.
  constexpr double z = 1.959963985;
  const auto n = static_cast<double>(degrees);
  const double z3 = z * z * z;
  return z + (z3 + z) / (4 * n) + (5 * z3 * z * z + 16 * z3 + 3 * z) / (96 * n * n);
}

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? kNaN : sum / static_cast<double>(values.size());
}

double median_of(std::vector<double> values) {
  if (values.empty()) return kNaN;
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Interval interval_of(std::span<const double> values) {
  Interval result;
  result.n = static_cast<std::int64_t>(values.size());
  result.mean = mean_of(values);
  const bool finite = std::ranges::all_of(values, [](double v) { return std::isfinite(v); });
  if (!finite || result.n == 0) {
    result.mean = result.lo = result.hi = kNaN;
    return result;
  }
  if (result.n == 1) {
    result.lo = -kInfinity;
    result.hi = kInfinity;
    return result;
  }
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  const auto n = static_cast<double>(result.n);
  const double error = std::sqrt(squares / (n - 1) / n);
  const double half = student_t(result.n - 1) * error;
  result.lo = result.mean - half;
  result.hi = result.mean + half;
  return result;
}

std::vector<double> differences(std::span<const double> a, std::span<const double> b) {
  check_pairs(a, b);
  std::vector<double> result(a.size());
  std::ranges::transform(a, b, result.begin(), std::minus());
  return result;
}

std::vector<double> log_ratios(std::span<const double> a, std::span<const double> b) {
  check_pairs(a, b);
  std::vector<double> result(a.size());
  std::ranges::transform(a, b, result.begin(), [](double x, double y) { return std::log(x / y); });
  return result;
}

Check check_difference(std::string text, std::string quantity, std::span<const double> values,
                       double margin) {
  const Interval interval = interval_of(values);
  return {std::move(text), std::move(quantity),         interval, Judge::difference,
          margin,          outcome_of(interval, margin)};
}

Check check_ratio(std::string text, std::string quantity, std::span<const double> logs,
                  double margin) {
  const Interval interval = interval_of(logs);
  return {std::move(text),
          std::move(quantity),
          ratio_of(interval),
          Judge::ratio,
          margin,
          outcome_of(interval, std::log(margin))};
}

Check check_alike(std::string text, std::string quantity, std::span<const double> logs,
                  double band) {
  const Interval interval = ratio_of(interval_of(logs));
  Outcome outcome = Outcome::unclear;
  if (interval.lo >= 1 / band && interval.hi <= band) outcome = Outcome::yes;
  if (interval.lo > band) outcome = Outcome::no;
  return {std::move(text), std::move(quantity), interval, Judge::alike, band, outcome};
}

std::pair<double, double> Check::needed() const {
  const bool no = outcome == Outcome::no;
  if (judge == Judge::alike) return {no ? margin : 1 / margin, no ? kInfinity : margin};
  if (!no) return {margin, kInfinity};
  return {-kInfinity, judge == Judge::difference ? 0 - margin : 1 / margin};
}

Verdict verdict_of(std::span<const Check> checks) {
  const auto count = [&](Outcome outcome) {
    return std::ranges::count(checks, outcome, &Check::outcome);
  };
  const auto yes = count(Outcome::yes);
  const auto no = count(Outcome::no);
  const auto all = static_cast<std::ptrdiff_t>(checks.size());
  if (yes > 0 && no > 0) return Verdict::mixed;
  if (yes > 0 && 2 * yes >= all) return Verdict::supported;
  if (no > 0 && 2 * no >= all) return Verdict::not_supported;
  return Verdict::undecided;
}

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::yes:
      return "yes";
    case Outcome::no:
      return "no";
    case Outcome::unclear:
      break;
  }
  return "unclear";
}

std::string_view name_of(Judge judge) {
  switch (judge) {
    case Judge::ratio:
      return "ratio";
    case Judge::alike:
      return "alike";
    case Judge::difference:
      break;
  }
  return "difference";
}

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::supported:
      return "supported";
    case Verdict::not_supported:
      return "not supported";
    case Verdict::mixed:
      return "mixed";
    case Verdict::undecided:
      return "undecided";
    case Verdict::skipped:
      return "skipped";
    case Verdict::failed:
      break;
  }
  return "failed";
}

}  // namespace evenkeel::lab
