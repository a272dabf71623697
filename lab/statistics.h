// Means with intervals, and what they say of a claim.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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

/// How a check judges its quantity.
enum class Judge : std::uint8_t {
  difference,  ///< 0 where both arms are alike; above it speaks for the claim
  ratio,       ///< 1 where both arms are alike, and a geometric mean; above it speaks for the claim
  alike        ///< a ratio again, of which the claim says that it is 1: cost of the one / the other
};

/// One comparison that speaks for or against a claim.
struct Check {
  std::string text;      ///< what the claim says: "fewer steps to 90 % accuracy"
  std::string quantity;  ///< what was compared: "steps without / steps with"
  Interval interval;     ///< of the quantity, in its own unit
  Judge judge = Judge::difference;
  double margin = 0;  ///< the smallest value that matters, in the quantity's unit; alike: the band
  Outcome outcome = Outcome::unclear;

  /// The quantity where both arms are alike.
  double neutral() const { return judge == Judge::difference ? 0 : 1; }
  /// From where to where the mean had to lie for a no, if it is one, else for a yes: from the
  /// margin on, or up to its mirror image; ±∞ where nothing bounds it. Alike: where the interval
  /// had to, in the band or above it.
  std::pair<double, double> needed() const;
};

/// Positive differences speak for the claim. yes: the whole interval lies above 0 and the mean at
/// `margin` or above; no: the whole interval lies below 0 and the mean at −margin or below; else
/// unclear, as for two arms that are identical. `margin` is the smallest difference that matters.
Check check_difference(std::string text, std::string quantity, std::span<const double> values,
                       double margin = 0);
/// The same for logarithms of a ratio, which is shown as such; `margin` above 1.
Check check_ratio(std::string text, std::string quantity, std::span<const double> logs,
                  double margin = 1);
/// For claims of equality, of logarithms of a ratio whose larger values are the worse ones, such as
/// time with / time without. yes: the whole interval lies within 1 / `band` to `band`, which is
/// above 1; no: all of it lies above `band`; else unclear. Exchanged arms do not turn it round
/// (what is alike stays alike), and of a network and itself it says nothing: the session leaves it
/// unclear where the arms are identical.
Check check_alike(std::string text, std::string quantity, std::span<const double> logs,
                  double band);

enum class Verdict : std::uint8_t { supported, not_supported, mixed, undecided, skipped, failed };

/// supported: no check says no, and at least half of them yes; not_supported: the reverse; mixed:
/// some say yes and some no; undecided: everything else.
Verdict verdict_of(std::span<const Check> checks);

std::string_view name_of(Outcome outcome);
std::string_view name_of(Judge judge);
std::string_view name_of(Verdict verdict);

}  // namespace evenkeel::lab
