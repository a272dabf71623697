#include <charconv>
#include <cmath>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/model/activation_kinds.h>

namespace evenkeel::model {

ActivationChoice parse_activation(const std::string& text) {
  using Kind = ops::ActivationKind;
  ActivationChoice choice;
  if (text == "auto" || text == "relu") return choice;
  choice.kind = Kind::leaky_relu;
  const std::size_t colon = text.find(':');
  const std::string word = text.substr(0, colon);
  if (word != "leaky_relu") {
    const std::string hint = did_you_mean(word, {"auto", "relu", "leaky_relu"});
    fail<UsageError>("[net] there is no activation '{}'{}", text,
                     hint.empty() ? "; known are auto, relu and leaky_relu:SLOPE" : hint);
  }
  if (colon == std::string::npos) return choice;
  const char* const begin = text.data() + colon + 1;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, choice.slope);
  if (error != std::errc() || stop != end || !(choice.slope > 0) || !std::isfinite(choice.slope)) {
    fail<UsageError>("[net] leaky_relu takes a slope above 0, as in leaky_relu:0.1; got '{}'",
                     text);
  }
  return choice;
}

}  // namespace evenkeel::model
