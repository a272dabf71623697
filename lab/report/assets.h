// The parts of the page, as they were when this was built (embed.cmake).
#pragma once

#include <string_view>

namespace evenkeel::lab {

extern const std::string_view kTemplate;  ///< HTML with {{names}}
extern const std::string_view kLicence;   ///< of Chart.js
extern const std::string_view kStyle, kStyleHash;
extern const std::string_view kChart, kChartHash;  ///< Chart.js
extern const std::string_view kApp, kAppHash;

}  // namespace evenkeel::lab
