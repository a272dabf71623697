#include "faults/power_loss.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

/// What a name in a folder stands for: a file, with the number of its content, or a folder.
struct Entry {
  std::optional<std::size_t> content{};  // none: a folder
};
using Folder = std::map<std::string, Entry>;

/// A change to a folder that is not yet on the disk.
struct Change {
  std::string removed;  // name, or empty
  std::string added;    // name, or empty
  Entry entry;
};

class Disk {
 public:
  explicit Disk(fs::path root) : root_(std::move(root)) {}

  void play(const Call& call) {
    if (!call.ok()) return;
    const fs::path folder = call.path.parent_path();
    const std::string name = call.path.filename().string();
    if (call.kind == "open") open(folder, name);
    if (call.kind == "write" && call.result > 0) synced_[content_of(folder, name)] = false;
    if (call.kind == "truncate") synced_[content_of(folder, name)] = false;
    if (call.kind == "fsync") synced_[content_of(folder, name)] = true;
    if (call.kind == "mkdir") change(folder, {"", name, Entry{}});
    if (call.kind == "unlink") change(folder, {name, "", Entry{}});
    if (call.kind == "fsyncdir") synchronize(call.path);
    if (call.kind == "rename") {
      const std::string to = call.other.filename().string();
      change(folder, {name, to, Entry{content_of(folder, name)}});
      if (to.rfind("step-", 0) == 0) renamed_ = to;
    }
    if (call.kind == "fsyncdir" && !renamed_.empty() && call.path.filename() == "checkpoints") {
      saved_ = renamed_;  // from here on it is reported as saved
    }
  }

  std::string trouble() const {
    for (const auto& [folder, changes] : pending_) {
      if (changes.size() > 12)
        return fmt::format("too many changes at once to {}", folder.string());
    }
    for (const auto& [folder, entries] : now_) {
      const std::string found = trouble_in(folder);
      if (!found.empty()) return found;
    }
    return "";
  }

 private:
  /// In every state that the folder may be in.
  std::string trouble_in(const fs::path& folder) const {
    const auto waiting = pending_.find(folder);
    const std::vector<Change> none;
    const std::vector<Change>& changes = waiting == pending_.end() ? none : waiting->second;
    for (unsigned chosen = 0; chosen < (1U << changes.size()); ++chosen) {
      Folder state = on_disk_.count(folder) != 0 ? on_disk_.at(folder) : Folder{};
      for (std::size_t i = 0; i < changes.size(); ++i) {
        if ((chosen >> i & 1U) != 0) apply(state, changes[i]);
      }
      const std::string found = trouble_of(folder, state);
      if (!found.empty()) return found;
    }
    return "";
  }

  std::string trouble_of(const fs::path& folder, const Folder& state) const {
    bool saved = saved_.empty() || folder.filename() != "checkpoints";
    for (const auto& [name, entry] : state) {
      const bool whole = fs::path(name).extension() == ".safetensors" || name == "config.toml";
      if (!whole) continue;  // logs and temporary files may be cut short
      if (!synced_.at(entry.content.value())) return fmt::format("{} may hold anything", name);
      if (folder.filename() == "checkpoints" && name >= saved_) saved = true;
    }
    if (!saved) return fmt::format("{} was reported as saved and may be gone", saved_);
    // The folder itself must be there, and the ones above it.
    if (folder.filename() != "checkpoints" || saved_.empty()) return "";
    for (fs::path at = folder; at != root_; at = at.parent_path()) {
      const auto above = on_disk_.find(at.parent_path());
      if (above == on_disk_.end() || above->second.count(at.filename().string()) == 0) {
        return fmt::format("{} was reported as saved, and its folder {} may be gone", saved_,
                           at.string());
      }
    }
    return "";
  }

  static void apply(Folder& folder, const Change& change) {
    if (!change.removed.empty()) folder.erase(change.removed);
    if (!change.added.empty()) folder[change.added] = change.entry;
  }

  void open(const fs::path& folder, const std::string& name) {
    if (now_[folder].count(name) != 0) return;
    synced_.push_back(true);  // and empty
    change(folder, {"", name, Entry{synced_.size() - 1}});
  }

  void change(const fs::path& folder, const Change& change) {
    apply(now_[folder], change);
    pending_[folder].push_back(change);
  }

  void synchronize(const fs::path& folder) {
    on_disk_[folder] = now_[folder];
    pending_[folder].clear();
  }

  std::size_t content_of(const fs::path& folder, const std::string& name) {
    return now_.at(folder).at(name).content.value();
  }

  fs::path root_;
  std::vector<bool> synced_;  // by the number of the content
  std::map<fs::path, Folder> now_, on_disk_;
  std::map<fs::path, std::vector<Change>> pending_;
  std::string renamed_, saved_;  // names of checkpoints
};

}  // namespace

std::string loss_after_any_call(const std::vector<Call>& calls, const fs::path& root) {
  Disk disk(root);
  for (const Call& call : calls) {
    disk.play(call);
    const std::string found = disk.trouble();
    if (!found.empty()) {
      return fmt::format("after call {} ({} {}): {}", call.number, call.kind, call.path.string(),
                         found);
    }
  }
  return "";
}

}  // namespace evenkeel::testing
