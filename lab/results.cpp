#include "lab/results.h"

#include <fstream>
#include <optional>

#include "lab/experiment.h"

namespace evenkeel::lab {
namespace {

/// Fields that are not there agree with everything: the journal has them too.
bool same_lab(const Json& one, const Json& other) {
  if (one.value("kind", Json()) != "lab") return false;
  for (const char* const key : {"version", "budget", "data", "seeds"}) {
    if (one.value(key, Json()) != other.value(key, Json())) return false;
  }
  return one.value("arms", Json("declared")) == other.value("arms", Json("declared")) &&
         one.value("kernels", other.at("kernels")) == other.at("kernels");
}

/// An experiment's lines as they come, one after the other.
struct Group {
  std::string name;
  std::vector<std::string> lines;
  bool whole = true;      // every line reads, and is of this experiment
  bool finished = false;  // there is a verdict
};

void extend(Group& group, const Json& line) {
  group.lines.push_back(text_of(line));
  if (line.at("kind") == "experiment") return;
  group.whole = group.whole && line.value("experiment", Json()) == group.name;
  group.finished = group.finished || line.at("kind") == "verdict";
}

}  // namespace

void Results::take_earlier(const std::filesystem::path& path, const Json& head) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (!std::getline(file, text)) return;
  const Json first = Json::parse(text, nullptr, false);
  if (!first.is_object() || !same_lab(first, head)) return;
  std::optional<Group> group;
  const auto close = [&] {
    if (group && group->whole && group->finished) put(group->name, std::move(group->lines));
  };
  while (std::getline(file, text)) {
    const Json line = Json::parse(text, nullptr, false);
    const bool reads = line.is_object() && line.value("kind", Json()).is_string() &&
                       (line.at("kind") != "experiment" || line.value("name", Json()).is_string());
    if (reads && line.at("kind") == "experiment") {
      close();
      group = Group{.name = line.at("name").get<std::string>(), .lines = {}};
    }
    if (group && reads) extend(*group, line);
    if (group && !reads) group->whole = false;
  }
  close();
}

void Results::put(const std::string& experiment, std::vector<std::string> lines) {
  groups_[experiment] = std::move(lines);
}

std::vector<std::string> Results::names() const {
  std::vector<std::string> names;
  for (const Experiment& experiment : experiments()) {
    if (has(experiment.name)) names.push_back(experiment.name);
  }
  return names;
}

std::vector<std::string> Results::lines(const Json& head) const {
  std::vector<std::string> all{text_of(head)};
  for (const std::string& name : names()) {
    const std::vector<std::string>& lines = groups_.at(name);
    all.insert(all.end(), lines.begin(), lines.end());
  }
  return all;
}

}  // namespace evenkeel::lab
