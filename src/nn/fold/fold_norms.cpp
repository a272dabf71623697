// Batch norms into the layers with weights before and behind them.

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "nn/fold/affine_map.h"
#include <evenkeel/nn/flow.h>
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/valid_steps.h>

namespace evenkeel::nn {
namespace {

using Kind = FlowStep::Kind;

/// Where a layer's map can go, or why nowhere.
struct Place {
  std::size_t step = 0;
  std::int64_t each = 1;  ///< inputs of the layer behind for each channel
  AffineMap map{};
  std::string reason{};  ///< empty if it can

  static Place none(std::string reason) { return {0, 1, {}, std::move(reason)}; }
};

/// Whether a layer hands every value through in eval mode.
bool transparent(const FlowStep& step) {
  return dynamic_cast<Identity*>(step.module) != nullptr ||
         dynamic_cast<ValidSteps*>(step.module) != nullptr ||
         dynamic_cast<Dropout*>(step.module) != nullptr;
}

std::string_view join_name(Kind kind) {
  if (kind == Kind::sum) return "a sum of branches";
  return kind == Kind::concat ? "branches put side by side" : "a product of two values";
}

/// "ReLU 3", or what else a step is.
std::string name_of(const FlowStep& step) {
  if (step.kind == Kind::input) return "the network's input";
  return step.kind == Kind::layer ? step.module->label() : std::string(join_name(step.kind));
}

/// Dimensions of what a batch norm takes; 0 where it may be two or three.
int rank_of(const BatchNorm& norm) {
  if (norm.type().ends_with("2d")) return 4;
  return norm.type().ends_with("3d") ? 5 : 0;
}

void keep(BatchNorm& norm, const std::string& reason, FoldReport& report) {
  const std::string fault = fault_of(norm);
  report.kept.push_back({norm.path(), fault.empty() ? reason : fault, !fault.empty()});
}

class NormFolding {
 public:
  NormFolding(Module& network, FoldReport& report) : flow_(network), report_(report) {}

  void run() {
    std::vector<std::string> reasons(flow_.size());
    for (std::size_t i = 1; i < flow_.size(); ++i) {
      if (!is_map(i)) continue;
      reasons[i] = reason_to_stay(i);
      if (!reasons[i].empty()) continue;
      const Place place = place_before(i);
      reasons[i] = place.reason;
      if (place.reason.empty()) fold_into(i, place, false);
    }
    // From the end, so that batch norms behind one another reach the same layer.
    for (std::size_t i = flow_.size(); i-- > 1;) {
      if (!is_map(i) || !reason_to_stay(i).empty()) continue;
      const Place place = place_behind(i);
      if (place.reason.empty()) {
        fold_into(i, place, true);
      } else {
        reasons[i] += "; " + place.reason;
      }
    }
    for (std::size_t i = 1; i < flow_.size(); ++i) {
      if (norm_at(i) == nullptr) continue;
      keep(*norm_at(i), reasons[i], report_);
    }
  }

 private:
  BatchNorm* norm_at(std::size_t i) const { return dynamic_cast<BatchNorm*>(flow_[i].module); }
  bool is_map(std::size_t i) const {
    return flow_[i].owner != nullptr && (norm_at(i) != nullptr || elementwise_at(i) != nullptr);
  }
  Elementwise* elementwise_at(std::size_t i) const {
    return dynamic_cast<Elementwise*>(flow_[i].module);
  }

  /// Why a batch norm is no fixed map; empty if it is one.
  std::string reason_to_stay(std::size_t i) const {
    BatchNorm* const norm = norm_at(i);
    if (norm == nullptr) return {};
    if (!norm->settings().track_running_stats) {
      return "it has no running statistics: eval mode normalizes with the batch's own";
    }
    if (norm->masked()) return "it goes by a mask of valid steps";
    return fault_of(*norm);
  }

  /// The map of step i for a value of that many dimensions and channels, or why it does not fit.
  std::optional<AffineMap> map_at(std::size_t i, int rank, std::int64_t channels,
                                  std::string& reason) const {
    if (BatchNorm* norm = norm_at(i)) {
      const int wanted = rank_of(*norm);
      if (norm->channels() != channels) {
        reason = fmt::format("has {} channels, and the batch norm {}", channels, norm->channels());
      } else if (wanted != 0 ? wanted != rank : rank > 3) {
        reason = "gives what the batch norm does not take";
      } else {
        return map_of(*norm);
      }
      return std::nullopt;
    }
    AffineMap map = map_of(*elementwise_at(i), rank, channels);
    if (map.channels() == channels) return map;
    reason = "has fewer channels than there are weights";
    return std::nullopt;
  }

  bool read_elsewhere(std::size_t value) const {
    return flow_[value].users.size() != 1 || flow_.output() == value;
  }

  Place place_before(std::size_t i) const {
    std::size_t value = flow_[i].inputs[0];
    for (;; value = flow_[value].inputs[0]) {
      if (read_elsewhere(value) && flow_[value].kind != Kind::input) {
        return Place::none("what comes to it goes to other layers too");
      }
      if (flow_[value].kind != Kind::layer || !transparent(flow_[value])) break;
    }
    const FlowStep& step = flow_[value];
    if (step.kind == Kind::input) return Place::none("it stands at the network's input");
    if (step.kind != Kind::layer) return Place::none("it follows " + name_of(step));
    const Weighted at = weighted(*step.module);
    if (at.layer == nullptr || step.owner == nullptr) {
      return Place::none(
          fmt::format("it follows {}, which has no weight to take it", name_of(step)));
    }
    std::string reason;
    auto map = map_at(i, at.rank, at.outputs, reason);
    if (!map) return Place::none(fmt::format("{} before it {}", name_of(step), reason));
    return {value, 1, *std::move(map)};
  }

  Place place_behind(std::size_t i) const {
    std::size_t value = i;
    bool flattened = false;
    for (;;) {
      if (flow_.output() == value) return Place::none("nothing with a weight comes behind it");
      if (flow_[value].users.size() != 1) {
        return Place::none(fmt::format("its result goes to {} places", flow_[value].users.size()));
      }
      value = flow_[value].users[0];
      const FlowStep& step = flow_[value];
      if (step.kind != Kind::layer) return Place::none(name_of(step) + " comes behind it");
      if (dynamic_cast<Flatten*>(step.module) != nullptr) flattened = true;
      const bool passes = transparent(step) || dynamic_cast<Flatten*>(step.module) != nullptr ||
                          dynamic_cast<GlobalAvgPool*>(step.module) != nullptr;
      if (!passes) break;
    }
    const FlowStep& step = flow_[value];
    const Weighted at = weighted(*step.module);
    if (at.layer == nullptr) {
      const bool bends = dynamic_cast<Activation*>(step.module) != nullptr;
      return Place::none(
          bends ? fmt::format("{} comes between it and the next layer with a weight", name_of(step))
                : fmt::format("{} comes behind it, which has no weight to take it", name_of(step)));
    }
    return fits_behind(i, value, at, flattened);
  }

  Place fits_behind(std::size_t i, std::size_t value, const Weighted& at, bool flattened) const {
    const std::string name = name_of(flow_[value]);
    const BatchNorm* norm = norm_at(i);
    std::int64_t each = 1;
    if (flattened && norm != nullptr && at.inputs % norm->channels() == 0) {
      each = at.inputs / norm->channels();
    }
    // A pool or Flatten has changed the rank on the way to a Linear.
    const int rank =
        at.rank == 2 && norm != nullptr && rank_of(*norm) != 0 ? rank_of(*norm) : at.rank;
    if (at.rank == 2 && norm == nullptr && flow_[i].users[0] != value) {
      return Place::none(fmt::format("it does not stand directly before {}", name));
    }
    std::string reason;
    auto map = map_at(i, rank, at.inputs / each, reason);
    if (!map) return Place::none(fmt::format("{} behind it {}", name, reason));
    if (at.pads && map->shifts()) {
      return Place::none(
          name + (at.transposed
                      ? " behind it has fewer taps at its borders, where a shift would differ"
                      : " behind it pads with zeros, which would have to be shifted as well"));
    }
    if (at.rank == 3 && flow_[value].module->lengths().given()) {
      return Place::none(fmt::format("{} behind it meets the zeros behind padded sequences", name));
    }
    return {value, each, *std::move(map)};
  }

  void fold_into(std::size_t i, const Place& place, bool behind) {
    const Weighted at = weighted(*flow_[place.step].module);
    const std::string path = flow_[i].module->path();
    const bool sequences = norm_at(i) != nullptr && at.rank == 3;
    std::unique_ptr<Module> other =
        behind ? with_map_before(at, place.map, place.each) : with_map_behind(at, place.map);
    std::unique_ptr<Module> rest;
    if (sequences) {
      rest = std::make_unique<ValidSteps>();
    } else {
      rest = std::make_unique<Identity>();
    }
    report_.folded.push_back({path, flow_[place.step].module->path(), behind});
    flow_.replace(i, std::move(rest));
    flow_.replace(place.step, std::move(other));
  }

  Flow flow_;
  FoldReport& report_;
};

/// Batch norms that stand in no container that is looked into.
void list_the_rest(Module& network, FoldReport& report) {
  network.visit([&](const std::string& /*path*/, Module& module) {
    if (dynamic_cast<BatchNorm*>(&module) == nullptr) return;
    if (std::ranges::find(report.kept, module.path(), &FoldReport::Kept::norm) ==
        report.kept.end()) {
      keep(dynamic_cast<BatchNorm&>(module), "it stands inside a layer that keeps its parts",
           report);
    }
  });
}

}  // namespace

FoldReport fold_norms(Module& network) {
  unfuse(network);
  network.eval();
  FoldReport report;
  NormFolding(network, report).run();
  list_the_rest(network, report);
  network.eval();
  return report;
}

}  // namespace evenkeel::nn
