// Means with intervals, and what they say of a claim.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evenkeel::lab {

/// A mean and its two-sided 95 % confidence interval by Student's t over n values. Of one value the
/// interval has no bounds (±∞); values that are not finite make all three NaN.
struct Interval {
  double mean = 0, lo = 0, hi = 0;
  std::int64_t n = 0;
};
Interval interval_of(std::span<const double> values);
/// The 0.975 quantile of Student's t with `degrees` of freedom, from 1.
double student_t(std::int64_t degrees);

double mean_of(std::span<const double> values);
double median_of(std::vector<double> values);

/// a[i] − b[i] and log(a[i] / b[i]), seed by seed: what both have in common cancels. ShapeError for
/// spans of different lengths.
std::vector<double> differences(std::span<const double> a, std::span<const double> b);
std::vector<double> log_ratios(std::span<const double> a, std::span<const double> b);

enum class Outcome : std::uint8_t { yes, no, unclear };

/// One comparison that speaks for or against a claim.
struct Check {
  std::string text;      ///< what the claim says: "fewer steps to 90 % accuracy"
  std::string quantity;  ///< what was compared: "steps without / steps with"
  Interval interval;     ///< of the quantity, in its own unit
  double neutral = 0;    ///< the quantity where both arms are alike: 0, or 1 of a ratio
  double margin = 0;     ///< how far from it the mean must lie to matter, in the quantity's unit
  Outcome outcome = Outcome::unclear;
};

/// Positive differences speak for the claim. yes: the whole interval lies above 0 and the mean at
/// `margin` or above; no: the whole interval lies below 0 and the mean at −margin or below; else
/// unclear, as for two arms that are identical. `margin` is the smallest difference that matters.
Check check_difference(std::string text, std::string quantity, std::span<const double> values,
                       double margin = 0);
/// The same for logarithms of a ratio, which is shown as such; `margin` above 1.
Check check_ratio(std::string text, std::string quantity, std::span<const double> logs,
                  double margin = 1);

enum class Verdict : std::uint8_t { supported, not_supported, mixed, undecided, skipped, failed };

/// supported: no check says no, and at least half of them yes; not_supported: the reverse; mixed:
/// some say yes and some no; undecided: everything else.
Verdict verdict_of(std::span<const Check> checks);

std::string_view name_of(Outcome outcome);
std::string_view name_of(Verdict verdict);

}  // namespace evenkeel::lab
