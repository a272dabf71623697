#include "report.h"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <sstream>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "other_work.h"
#include <evenkeel/core/error.h>

namespace evenkeel::bench {
namespace {

Json list_json(const std::vector<Measurement>& measurements) {
  Json list = Json::array();
  for (const Measurement& m : measurements) list.push_back(to_json(m));
  return list;
}

Json memory_json(const std::vector<MemoryMeasurement>& measurements) {
  Json list = Json::array();
  for (const MemoryMeasurement& m : measurements) list.push_back(to_json(m));
  return list;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(now));
}

/// One row per way to run a network, ours first; the ratio compares it with the fastest peer.
Grid network_grid(const std::string& what, const std::vector<Measurement>& steps) {
  Grid grid;
  grid.rows.push_back({what, "batch", "threads", "by", "ms", "ratio"});
  for (const Measurement& m : steps) {
    double best_peer = 0;
    for (const Entry& entry : m.entries) {
      if (entry.candidate.who == "evenkeel") continue;
      best_peer = best_peer == 0 ? entry.timing.min : std::min(best_peer, entry.timing.min);
    }
    for (const Entry& entry : m.entries) {
      const bool own = entry.candidate.who == "evenkeel";
      grid.rows.push_back(
          {m.shape, fmt::format("{}", m.size.n), fmt::format("{}", m.work.threads),
           entry.candidate.title(), with_median(entry.timing),
           own && best_peer > 0 ? fmt::format("{:.2f}", best_peer / entry.timing.min) : ""});
    }
  }
  return grid;
}

std::vector<Measurement> kernels_of(const Findings& findings) {
  std::vector<Measurement> all = findings.batch_norm;
  all.insert(all.end(), findings.rows.begin(), findings.rows.end());
  return all;
}

std::vector<Measurement> everything(const Findings& findings) {
  std::vector<Measurement> all = kernels_of(findings);
  for (const auto* const part :
       {&findings.steps, &findings.inference, &findings.growth, &findings.threads}) {
    all.insert(all.end(), part->begin(), part->end());
  }
  return all;
}

std::string quietness(double other_work) {
  if (other_work < 0) return "";
  return fmt::format("other work took {:.0f} % of the processors' time{}\n", 100 * other_work,
                     other_work > OtherWork::kTolerable
                         ? ": THESE FIGURES ARE PROVISIONAL, measure again on a quiet machine"
                         : "");
}

/// Without the many sizes of a whole run, which would fill pages.
std::vector<Measurement> representative(std::vector<Measurement> measurements) {
  const std::vector<SampleShape> few = representative_shapes();
  std::erase_if(measurements, [&](const Measurement& m) {
    return m.work.family == Family::batch_norm &&
           std::ranges::find(few, m.shape, &SampleShape::name) == few.end();
  });
  return measurements;
}

std::string refusals(const std::vector<Measurement>& measurements) {
  std::string text;
  for (const Measurement& m : measurements) {
    for (const std::string& line : m.refused) {
      text += fmt::format("{} x {} {}: {}\n", m.size.n, m.shape, m.work.name(), line);
    }
  }
  return text;
}

}  // namespace

Json report_json(const Findings& findings, const Circumstances& circumstances) {
  return {{"format", 1},
          {"date", today()},
          {"quick", circumstances.quick},
          {"machine", circumstances.machine},
          {"cache", circumstances.cache},
          {"other_work", circumstances.other_work},
          {"batch_norm", list_json(findings.batch_norm)},
          {"rows", list_json(findings.rows)},
          {"steps", list_json(findings.steps)},
          {"memory", memory_json(findings.memory)},
          {"inference", list_json(findings.inference)},
          {"growth", list_json(findings.growth)},
          {"threads", list_json(findings.threads)}};
}

std::string report_text(const Findings& findings, const Circumstances& circumstances) {
  const std::vector<Measurement> kernels = kernels_of(findings);
  std::string text = fmt::format(
      "{}\n{}\n{}milliseconds, minimum (median); ratio: the best peer of the layout over "
      "evenkeel\n",
      circumstances.machine_text, versions_in(everything(findings)),
      quietness(circumstances.other_work));
  for (const auto* const part : {&kernels, &findings.threads}) {
    for (const TableGroup& table : tables_of(*part)) {
      text += fmt::format("\n{}\n{}", table.title, table.grid.text());
    }
  }
  if (!findings.steps.empty()) {
    text += "\ntraining steps\n" + network_grid("step", findings.steps).text();
  }
  if (!findings.inference.empty()) {
    text += "\ninference\n" + network_grid("inference", findings.inference).text();
  }
  if (!findings.memory.empty()) {
    text += "\nmemory of training steps\n" + memory_grid(findings.memory).text();
  }
  if (!kernels.empty()) text += "\n" + summary_of(kernels, circumstances.cache).text();
  const std::string wrong =
      refusals(kernels) + refusals(findings.steps) + refusals(findings.inference);
  if (!wrong.empty()) text += "\nnot timed, for their results were wrong:\n" + wrong;
  return text;
}

void write_document(const std::filesystem::path& path, const Findings& findings,
                    const Circumstances& circumstances) {
  const std::string begin = "<!-- bench:begin -->\n", end = "<!-- bench:end -->";
  std::ifstream in(path);
  std::stringstream content;
  content << in.rdbuf();
  const std::string old = content.str();
  const std::size_t first = old.find(begin), last = old.find(end);
  if (!in || first == std::string::npos || last == std::string::npos || last < first) {
    fail<IoError>("{}: expected a block between the lines {} and {}", path.string(),
                  begin.substr(0, begin.size() - 1), end);
  }
  const std::vector<Measurement> kernels = kernels_of(findings);
  std::string block = fmt::format(
      "`bench/run.sh{} --document`, {}.\n\n- machine: {}\n- peers: {}\n- {}\n"
      "Milliseconds, minimum and, in brackets, median; *ratio* is the best peer of the layout over "
      "evenkeel, *of copy* the part of the copy's bandwidth in the same rounds, *beyond cache* the "
      "least such part among sizes whose input and output exceed {} MiB.\n",
      circumstances.quick ? " --quick" : "", today(), circumstances.machine_text,
      versions_in(everything(findings)), quietness(circumstances.other_work),
      circumstances.cache >> 20);
  if (!kernels.empty()) block += "\n" + summary_of(kernels, circumstances.cache).markdown();
  if (!findings.steps.empty()) block += "\n" + network_grid("step", findings.steps).markdown();
  if (!findings.inference.empty()) {
    block += "\n" + network_grid("inference", findings.inference).markdown();
  }
  for (const TableGroup& table : tables_of(representative(kernels))) {
    block += fmt::format("\n**{}**\n\n{}", table.title, table.grid.markdown());
  }
  const std::size_t body = first + begin.size();
  std::ofstream out(path);
  out << old.substr(0, body) << "\n" << block << "\n" << old.substr(last);
  if (!out.flush()) fail<IoError>("{}: cannot be written", path.string());
}

}  // namespace evenkeel::bench
