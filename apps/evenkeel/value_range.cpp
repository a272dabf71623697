#include "value_range.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace evenkeel::app {

ValueRange range_of(const Tensor& tensor) {
  ValueRange range;
  const Tensor values = tensor.to(DType::f64);
  for (const double value : values.span<double>()) {
    if (!std::isfinite(value)) {
      ++range.not_finite;
      continue;
    }
    range.low = range.finite == 0 ? value : std::min(range.low, value);
    range.high = range.finite == 0 ? value : std::max(range.high, value);
    ++range.finite;
  }
  return range;
}

std::string text_of(const ValueRange& range, std::string_view between) {
  std::string text;
  if (range.finite > 0) {
    // Both with the same digits, and one more where that tells them apart.
    const double size = std::max(std::abs(range.low), std::abs(range.high));
    const auto equal_with = [&](int extra) {
      return brief(range.low, size, extra) == brief(range.high, size, extra);
    };
    const int extra = equal_with(0) && !equal_with(1) ? 1 : 0;
    text = brief(range.low, size, extra);
    if (!equal_with(extra)) text += std::string(between) + brief(range.high, size, extra);
  }
  if (range.not_finite > 0) text += fmt::format(" ({} not finite)", range.not_finite);
  return text.empty() ? "empty" : text;
}

Json to_json(const ValueRange& range) {
  Json json{{"min", nullptr}, {"max", nullptr}};
  if (range.finite > 0) json = {{"min", range.low}, {"max", range.high}};
  if (range.not_finite > 0) json["not_finite"] = range.not_finite;
  return json;
}

}  // namespace evenkeel::app
