// The smallest and the largest value of a tensor.
#pragma once

#include <string>
#include <string_view>

#include "text.h"
#include <evenkeel/core/tensor.h>

namespace evenkeel::app {

struct ValueRange {
  double low = 0, high = 0;  ///< of the finite values
  std::int64_t finite = 0;   ///< how many there are
  std::int64_t not_finite = 0;
};

ValueRange range_of(const Tensor& tensor);
/// "-0.123 .. 4.56", one number where all are equal, and how many are not finite.
std::string text_of(const ValueRange& range, std::string_view between = " .. ");
/// {"min": …, "max": …}, with null where nothing is finite.
Json to_json(const ValueRange& range);

}  // namespace evenkeel::app
