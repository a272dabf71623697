#include "tables.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace evenkeel::bench {
namespace {

constexpr std::array kLayouts{Layout::channels_first, Layout::channels_last};

std::string layout_text(Layout layout) {
  return layout == Layout::channels_first ? "channels first" : "channels last";
}

std::string group_title(const Measurement& m, Layout layout) {
  const std::string where = m.work.family == Family::layer_norm ? "rows" : layout_text(layout);
  return fmt::format("{}, {}, {}, {} thread{}", name_of(m.work.family), m.work.name(), where,
                     m.work.threads, m.work.threads == 1 ? "" : "s");
}

/// Groups in the order in which they first occur.
struct Group {
  std::string title;
  Layout layout;
  std::vector<const Measurement*> rows;
};

std::vector<Group> grouped(const std::vector<Measurement>& measurements) {
  std::vector<Group> groups;
  for (const Layout layout : kLayouts) {
    for (const Measurement& m : measurements) {
      if (m.own(layout) == nullptr) continue;
      const std::string title = group_title(m, layout);
      auto group = std::ranges::find(groups, title, &Group::title);
      if (group == groups.end()) {
        groups.push_back({title, layout, {}});
        group = std::prev(groups.end());
      }
      group->rows.push_back(&m);
    }
  }
  return groups;
}

std::vector<std::string> peers_of(const Group& group) {
  std::vector<std::string> peers;
  for (const Measurement* const m : group.rows) {
    for (const Entry& entry : m->entries) {
      if (entry.candidate.who == "evenkeel" || entry.candidate.layout != group.layout) continue;
      const std::string title = entry.candidate.title();
      if (std::ranges::find(peers, title) == peers.end()) peers.push_back(title);
    }
  }
  return peers;
}

std::string ratio_text(double ratio) { return ratio == 0 ? "-" : fmt::format("{:.2f}", ratio); }

struct Means {
  double log_ratio = 0, log_part = 0;
  int ratios = 0, rows = 0;
  double worst = 0;
  std::string worst_shape;
  double least_part = 0;  // of large tensors

  void add(const Measurement& m, Layout layout, std::size_t cache) {
    ++rows;
    const double part = m.part_of_copy(layout);
    log_part += std::log(part);
    if (cache > 0 && 2 * m.bytes > cache && (least_part == 0 || part < least_part)) {
      least_part = part;
    }
    const double ratio = m.ratio(layout);
    if (ratio == 0) return;
    ++ratios;
    log_ratio += std::log(ratio);
    if (worst == 0 || ratio < worst) {
      worst = ratio;
      worst_shape = m.shape;
    }
  }
};

}  // namespace

std::string milliseconds(double seconds) {
  const double ms = 1e3 * seconds;
  return fmt::format("{:.{}f}", ms, ms >= 100 ? 0 : ms >= 10 ? 1 : ms >= 1 ? 2 : ms >= 0.1 ? 3 : 4);
}

std::string with_median(const Timing& timing) {
  return fmt::format("{} ({})", milliseconds(timing.min), milliseconds(timing.median));
}

std::vector<TableGroup> tables_of(const std::vector<Measurement>& measurements) {
  std::vector<TableGroup> tables;
  for (const Group& group : grouped(measurements)) {
    TableGroup table{group.title, {}};
    const std::vector<std::string> peers = peers_of(group);
    std::vector<std::string> titles{"size", "evenkeel"};
    titles.insert(titles.end(), peers.begin(), peers.end());
    for (const char* const title : {"copy", "ratio", "of copy"}) titles.emplace_back(title);
    table.grid.rows.push_back(titles);
    for (const Measurement* const m : group.rows) {
      std::vector<std::string> row{fmt::format("{} x {}", m->size.n, m->shape),
                                   with_median(m->own(group.layout)->timing)};
      for (const std::string& peer : peers) {
        const auto entry = std::ranges::find_if(m->entries, [&](const Entry& candidate) {
          return candidate.candidate.layout == group.layout && candidate.candidate.title() == peer;
        });
        row.push_back(entry == m->entries.end() ? "-" : with_median(entry->timing));
      }
      row.push_back(with_median(m->copy.timing));
      row.push_back(ratio_text(m->ratio(group.layout)));
      row.push_back(fmt::format("{:.2f}", m->part_of_copy(group.layout)));
      table.grid.rows.push_back(std::move(row));
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

Grid summary_of(const std::vector<Measurement>& measurements, std::size_t cache) {
  Grid grid;
  grid.rows.push_back(
      {"geometric means", "batch", "sizes", "ratio", "worst", "at", "of copy", "beyond cache"});
  for (const Group& group : grouped(measurements)) {
    std::map<std::int64_t, Means, std::greater<>> by_batch;
    const bool one_batch = group.rows.front()->work.family != Family::batch_norm;
    for (const Measurement* const m : group.rows) {
      by_batch[one_batch ? 0 : m->size.n].add(*m, group.layout, cache);
    }
    for (const auto& [batch, means] : by_batch) {
      const bool peers = means.ratios > 0;
      grid.rows.push_back({group.title, batch == 0 ? "" : fmt::format("{}", batch),
                           fmt::format("{}", means.rows),
                           peers ? ratio_text(std::exp(means.log_ratio / means.ratios)) : "-",
                           peers ? ratio_text(means.worst) : "-", means.worst_shape,
                           fmt::format("{:.2f}", std::exp(means.log_part / means.rows)),
                           ratio_text(means.least_part)});
    }
  }
  return grid;
}

std::string versions_in(const std::vector<Measurement>& measurements) {
  std::set<std::string> versions;
  for (const Measurement& m : measurements) {
    for (const Entry& entry : m.entries) {
      versions.insert(entry.candidate.who + " " + entry.candidate.version);
    }
  }
  return fmt::format("{}", fmt::join(versions, ", "));
}

Json to_json(const Entry& entry) {
  return {{"who", entry.candidate.who},   {"version", entry.candidate.version},
          {"how", entry.candidate.how},   {"layout", name_of(entry.candidate.layout)},
          {"note", entry.candidate.note}, {"error", entry.error},
          {"min", entry.timing.min},      {"median", entry.timing.median},
          {"rounds", entry.timing.rounds}};
}

Json to_json(const Measurement& m) {
  Json json{{"family", name_of(m.work.family)},
            {"operation", name_of(m.work.operation)},
            {"relu", m.work.relu},
            {"add", m.work.add},
            {"threads", m.work.threads},
            {"shape", m.shape},
            {"n", m.size.n},
            {"c", m.size.c},
            {"h", m.size.h},
            {"w", m.size.w},
            {"groups", m.size.groups},
            {"bytes", m.bytes},
            {"least_traffic", m.work.least_traffic()}};
  Json uses = Json::object();
  for (const SampleShape::Use& use : m.uses) uses[use.network] = use.layers;
  json["layers"] = uses;
  json["copy"] = to_json(m.copy);
  Json entries = Json::array();
  for (const Entry& entry : m.entries) entries.push_back(to_json(entry));
  json["candidates"] = entries;
  json["refused"] = m.refused;
  for (const Layout layout : kLayouts) {
    if (m.own(layout) == nullptr) continue;
    json[std::string(name_of(layout))] = {{"ratio", m.ratio(layout)},
                                          {"part_of_copy", m.part_of_copy(layout)}};
  }
  return json;
}

}  // namespace evenkeel::bench
