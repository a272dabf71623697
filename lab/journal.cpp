#include "lab/journal.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>

namespace evenkeel::lab {
namespace {

std::string full_key(const std::string& experiment, const Cell& cell) {
  return experiment + "|" + key_of(cell);
}

}  // namespace

Journal::Journal(std::filesystem::path path, const Json& identity) : path_(std::move(path)) {
  if (std::filesystem::exists(path_)) read(identity);
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) fail<IoError>("[lab] cannot write '{}': {}", path_.string(), std::strerror(errno));
  // What was cut off goes, so that the next line begins a line.
  if (::ftruncate(file_, static_cast<off_t>(end_)) != 0) {
    fail<IoError>("[lab] cannot write '{}': {}", path_.string(), std::strerror(errno));
  }
  if (end_ == 0) append(text_of(identity));
}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
}

void Journal::read(const Json& identity) {
  const std::vector<std::byte> bytes = io::read_file(path_);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos;
       end = text.find('\n', begin)) {
    try {
      const Json line = Json::parse(text.substr(begin, end - begin));
      if (begin == 0 && text_of(line) != text_of(identity)) {
        fail<UsageError>(
            "[lab] '{}' holds another lab (budget, data, seeds, arms or version differ); give "
            "another "
            "--out, or delete it",
            path_.parent_path().string());
      }
      if (begin > 0) {
        const Result result = result_from_json(line);
        cells_[full_key(line.at("experiment").get<std::string>(), result.cell)] =
            result.measurement;
      }
    } catch (const Json::exception&) {
      fail<IoError>("[lab] '{}' is damaged at byte {}; delete it to begin again", path_.string(),
                    begin);
    }
    begin = end + 1;
  }
  end_ = begin;
  resumed_ = cells_.size();
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
  cells_[full_key(experiment, result.cell)] = result.measurement;
}

void Journal::append(const std::string& line) {
  const std::string text = line + "\n";
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t now = ::pwrite(file_, text.data() + written, text.size() - written,
                                 static_cast<off_t>(end_ + written));
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) {
      const int cause = now < 0 ? errno : ENOSPC;
      [[maybe_unused]] const int ignored = ::ftruncate(file_, static_cast<off_t>(end_));
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
