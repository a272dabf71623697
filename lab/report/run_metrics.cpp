#include "lab/report/run_metrics.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::lab {
namespace {

using Json = nlohmann::ordered_json;  // parameters stay in the network's order

constexpr std::size_t kMostBytes = std::size_t{1} << 28;
constexpr std::size_t kMostWarnings = 10;
// More than the largest networks have: lines with more fields are none of ours, and would take
// long.
constexpr std::ptrdiff_t kMostFields = 20'000;
constexpr std::size_t kMostNames = 5'000;

/// NaN where it is no number.
double value_of(const Json& json) {
  return json.is_number() ? json.get<double>() : std::numeric_limits<double>::quiet_NaN();
}
double number(const Json& line, const char* key) {
  const auto it = line.find(key);
  return it != line.end() ? value_of(*it) : std::numeric_limits<double>::quiet_NaN();
}

std::string text(const Json& line, const char* key) {
  const auto it = line.find(key);
  return it != line.end() && it->is_string() ? it->get<std::string>() : std::string();
}

/// The field if it is an object, else an empty one.
const Json& object(const Json& line, const char* key) {
  static const Json empty = Json::object();
  const auto it = line.find(key);
  return it != line.end() && it->is_object() ? *it : empty;
}

std::string grouped(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (std::size_t at = digits.size();
       at > 3 && std::isdigit(static_cast<unsigned char>(digits[at - 4]));) {
    digits.insert(at -= 3, ",");
  }
  return digits;
}

void add(Track& track, double step, const Json& line, const char* key, double factor = 1) {
  if (!line.contains(key)) return;
  track.x.push_back(step);
  track.y.push_back(factor * number(line, key));
}

void add(Spread& spread, double step, const Json& norm, const char* key) {
  const auto it = norm.find(key);
  if (it == norm.end() || !it->is_array() || it->size() != 3) return;
  spread.x.push_back(step);
  spread.low.push_back(value_of((*it)[0]));
  spread.middle.push_back(value_of((*it)[1]));
  spread.high.push_back(value_of((*it)[2]));
}

/// The entry of that name, made where it is missing; null where there are too many. Names come in
/// the same order probe after probe, so that the search begins where the last one ended.
template <class T, class Name>
T* entry_of(std::vector<T>& entries, std::size_t& hint, const std::string& name, Name name_of) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::size_t at = (hint + i) % entries.size();
    if (name_of(entries[at]) != name) continue;
    hint = at + 1;
    return &entries[at];
  }
  if (entries.size() >= kMostNames) return nullptr;
  entries.emplace_back();
  name_of(entries.back()) = name;
  hint = entries.size();
  return &entries.back();
}

class Reader {
 public:
  explicit Reader(RunMetrics& metrics) : metrics_(metrics) {}

  void read(Json line) {
    const std::string kind = text(line, "kind");
    if (kind == "run") facts(line);
    if (kind == "step") step(line);
    if (kind == "epoch") epoch(line);
    if (kind == "evaluation") evaluation(line);
    if (kind == "probe") probe(line);
    if (kind == "warning") warning(line);
    if (kind == "resume") end_ = Json();
    // A run that was stopped and resumed has several ends; the last one counts. Moved: copies of
    // what is nested deeply need as deep a stack.
    if (kind == "end") end_ = std::move(line);
  }

  void finish() {
    if (end_.is_object()) {
      end_facts(end_);
    } else {
      fact("finished", "no");
    }
    if (warnings_ > kMostWarnings) {
      metrics_.notes.push_back(fmt::format("and {} more warnings", warnings_ - kMostWarnings));
    }
  }

 private:
  void fact(const char* name, std::string value) {
    if (!value.empty()) metrics_.facts.emplace_back(name, std::move(value));
  }
  void fact(const char* name, const Json& line, const char* key) {
    const double value = number(line, key);
    if (!std::isfinite(value)) return;
    fact(name, value == std::floor(value) && std::abs(value) < 1e15 ? grouped(value)
                                                                    : fmt::format("{:.6g}", value));
  }
  void percent(const char* name, const Json& line, const char* key) {
    if (const double value = number(line, key); std::isfinite(value)) {
      fact(name, fmt::format("{:.2f} %", 100 * value));
    }
  }

  void facts(const Json& line) {
    fact("network", text(line, "net"));
    fact("normalization", text(line, "norm"));
    fact("data", text(line, "data"));
    fact("training samples", line, "train_samples");
    fact("parameters", line, "parameters");
    fact("optimizer", text(line, "optimizer"));
    fact("learning rate", line, "lr");
    fact("batch size", line, "batch_size");
    fact("epochs", line, "epochs");
    fact("seed", line, "seed");
  }

  void step(const Json& line) {
    const double at = number(line, "step");
    add(metrics_.step_loss, at, line, "loss");
    add(metrics_.step_accuracy, at, line, "accuracy", 100);
    add(metrics_.rate, at, line, "lr");
  }

  void epoch(const Json& line) {
    const double at = number(line, "step");
    add(metrics_.loss, at, line, "loss");
    add(metrics_.accuracy, at, line, "accuracy", 100);
    add(metrics_.rate, at, line, "lr");  // short runs log few single steps, or none
    add(metrics_.validation_loss, at, line, "validation_loss");
    add(metrics_.validation_accuracy, at, line, "validation_accuracy", 100);
  }

  void evaluation(const Json& line) {
    add(metrics_.evaluation_accuracy, number(line, "step"), line, "accuracy", 100);
  }

  void probe(const Json& line) {
    const double at = number(line, "step");
    for (const auto& [field, tracks] :
         {std::pair{"gradients", &metrics_.gradients}, std::pair{"weights", &metrics_.weights}}) {
      const Json& values = object(line, field);
      std::size_t hint = 0;
      for (const auto& [name, value] : values.items()) {
        auto* const entry = entry_of(
            *tracks, hint, name, [](NamedTrack & t) -> auto& { return t.first; });
        if (entry == nullptr) break;
        entry->second.x.push_back(at);
        entry->second.y.push_back(value_of(value));
      }
    }
    std::size_t hint = 0;
    for (const auto& [path, norm] : object(line, "norms").items()) {
      if (!norm.is_object()) continue;
      auto* const entry = entry_of(
          metrics_.norms, hint, path, [](NormTracks & t) -> auto& { return t.path; });
      if (entry == nullptr) break;
      add(entry->mean_gap, at, norm, "mean_gap");
      add(entry->std_ratio, at, norm, "std_ratio");
      add(entry->gamma, at, norm, "gamma");
      add(entry->beta, at, norm, "beta");
      add(entry->input, at, norm, "input");
      add(entry->output, at, norm, "output");
    }
  }

  void end_facts(const Json& line) {
    fact("steps", line, "steps");
    if (const double seconds = number(line, "seconds"); std::isfinite(seconds)) {
      fact("time", fmt::format("{:.3g} s", seconds));
    }
    if (number(line, "skipped") > 0) fact("skipped steps", line, "skipped");
    if (number(line, "signal") > 0) fact("stopped by signal", line, "signal");
    percent("test accuracy", line, "test_accuracy");
    if (const double loss = number(line, "test_loss"); std::isfinite(loss)) {
      fact("test loss", fmt::format("{:.4g}", loss));
    }
    percent("test accuracy of averaged weights (EMA)", line, "ema_test_accuracy");
    percent("test accuracy of averaged weights (SWA)", line, "swa_test_accuracy");
  }

  void warning(const Json& line) {
    if (++warnings_ <= kMostWarnings) metrics_.notes.push_back(text(line, "text"));
  }

  RunMetrics& metrics_;
  std::size_t warnings_ = 0;
  Json end_;  ///< the last one, if any
};

/// An object, or something else where the line is none.
Json parsed(std::string_view line) {
  if (std::ranges::count(line, ':') > kMostFields) return {};
  return Json::parse(line, nullptr, /*allow_exceptions=*/false);
}

/// A run that is killed in the middle of a line leaves it torn.
std::string note_on(std::size_t torn, std::size_t first, std::size_t all) {
  if (torn == 1 && first == all)
    return fmt::format("line {} of its metrics, the last, is torn", first);
  return fmt::format(
      "{} of {} lines of its metrics are torn or no JSON objects, the first is line {}", torn, all,
      first);
}

}  // namespace

RunMetrics read_metrics(const std::filesystem::path& run) {
  const std::filesystem::path path = model::RunFolder::open(run).metrics();
  const std::vector<std::byte> bytes = io::read_file(path, kMostBytes);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());

  RunMetrics metrics;
  metrics.name = run.string();
  Reader reader(metrics);
  std::size_t lines = 0, good = 0, torn = 0, first_torn = 0;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++lines;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (Json json = parsed(line); json.is_object()) {
      reader.read(std::move(json));
      ++good;
    } else if (++torn == 1) {
      first_torn = lines;
    }
  }
  if (good == 0) {
    fail<IoError>(
        "[report] '{}' holds no metrics: expected JSON lines that 'evenkeel train' wrote, got {}",
        path.string(),
        lines == 0 ? "an empty file"
                   : fmt::format("{} other line{}", lines, lines == 1 ? "" : "s"));
  }
  reader.finish();
  if (torn > 0) metrics.notes.push_back(note_on(torn, first_torn, lines));
  return metrics;
}

}  // namespace evenkeel::lab
