#include "lab/journal.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>

namespace evenkeel::lab {
namespace {

std::string full_key(const std::string& experiment, const Cell& cell) {
  return experiment + "|" + key_of(cell);
}

}  // namespace

Journal::Descriptor::~Descriptor() {
  if (value >= 0) ::close(value);
}

Journal::Journal(std::filesystem::path path, const Json& identity) : path_(std::move(path)) {
  open();
  read(identity);
  // What was cut off goes, so that the next line begins a line.
  if (::ftruncate(file_.value, static_cast<off_t>(end_)) != 0) {
    fail<IoError>("[lab] cannot write '{}': {}", path_.string(), std::strerror(errno));
  }
  if (end_ == 0) append(text_of(identity));
}

/// Two labs in one folder would write over each other's lines.
void Journal::open() {
  file_.value = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_.value < 0) {
    fail<IoError>("[lab] cannot write '{}': {}", path_.string(), std::strerror(errno));
  }
  // Where files cannot be locked at all, the lab works without.
  if (::flock(file_.value, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    fail<IoError>("[lab] another lab works in '{}'; wait until it has ended, or give another --out",
                  path_.parent_path().string());
  }
}

void Journal::read(const Json& identity) {
  const std::vector<std::byte> bytes = io::read_file(path_);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos;
       end = text.find('\n', begin)) {
    const std::string_view text_line = text.substr(begin, end - begin);
    if (begin == 0) {
      const bool has_more = text.find('\n', end + 1) != std::string_view::npos;
      if (!is_begun_by(identity, text_line, has_more)) return;
    } else {
      try {
        const Json line = Json::parse(text_line);
        const Result result = result_from_json(line);
        cells_[full_key(line.at("experiment").get<std::string>(), result.cell)] =
            result.measurement;
      } catch (const Json::exception&) {
        ++damaged_;  // its cell is measured again
      }
    }
    begin = end + 1;
  }
  end_ = begin;
  resumed_ = cells_.size();
}

/// Whether the file goes on with this identity; false where it is to begin anew.
bool Journal::is_begun_by(const Json& identity, std::string_view first, bool has_more) const {
  const Json line = Json::parse(first, nullptr, false);
  if (!line.is_object() || line.value("kind", Json()) != "journal") {
    fail<IoError>(
        "[lab] '{}' does not begin with what a lab was asked; give another --out, or delete it to "
        "begin again",
        path_.string());
  }
  if (text_of(line) == text_of(identity)) return true;
  if (!has_more) return false;
  fail<UsageError>(
      "[lab] '{}' holds another lab (budget, data, seeds, arms, version or instruction set "
      "differ); give another --out, or delete it",
      path_.parent_path().string());
}

std::size_t Journal::added() const {
  const std::scoped_lock lock(mutex_);
  return added_;
}

std::optional<Measurement> Journal::find(const std::string& experiment, const Cell& cell) const {
  const std::scoped_lock lock(mutex_);
  const auto found = cells_.find(full_key(experiment, cell));
  if (found == cells_.end()) return std::nullopt;
  return found->second;
}

void Journal::add(const std::string& experiment, const Result& result) {
  const std::scoped_lock lock(mutex_);
  append(text_of(to_json(experiment, result)));
  ++added_;
  cells_[full_key(experiment, result.cell)] = result.measurement;
}

void Journal::append(const std::string& line) {
  const std::string text = line + "\n";
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t now = ::pwrite(file_.value, text.data() + written, text.size() - written,
                                 static_cast<off_t>(end_ + written));
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) {
      const int cause = now < 0 ? errno : ENOSPC;
      [[maybe_unused]] const int ignored = ::ftruncate(file_.value, static_cast<off_t>(end_));
      fail<IoError>(
          "[lab] cannot write '{}': {}; what was measured so far is kept: make room and "
          "start the same command again",
          path_.string(), std::strerror(cause));
    }
    written += static_cast<std::size_t>(now);
  }
  end_ += text.size();
}

}  // namespace evenkeel::lab
