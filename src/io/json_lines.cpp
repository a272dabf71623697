#include <cerrno>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "io/atomic_writer.h"
#include "io/bytes.h"
#include "io/origin.h"
#include <evenkeel/core/error.h>
#include <evenkeel/io/events.h>

namespace evenkeel::io {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '-' || c == '.';
}

bool is_not_finite(std::string_view word) {
  if (word.starts_with('-') || word.starts_with('+')) word.remove_prefix(1);
  for (const std::string_view name : {"nan", "NaN", "NAN", "inf", "Inf", "INF", "Infinity"}) {
    if (word == name) return true;
  }
  return false;
}

/// JSON has no names for numbers that are not finite; the words that programs print for them,
/// outside of texts, become null.
std::string with_nulls(std::string_view json) {
  std::string out;
  bool text = false;
  for (std::size_t i = 0; i < json.size();) {
    std::size_t end = i + 1;
    if (text) {
      if (json[i] == '\\' && end < json.size()) ++end;
      text = json[i] != '"';
    } else if (is_word(json[i])) {
      while (end < json.size() && is_word(json[end])) ++end;
    } else {
      text = json[i] == '"';
    }
    const std::string_view piece = json.substr(i, end - i);
    out += !text && is_not_finite(piece) ? std::string_view("null") : piece;
    i = end;
  }
  return out;
}

/// Whether the file does not end with a line break: its last writer was killed in the middle of a
/// line.
bool ends_inside_line(int descriptor) {
  struct stat status {};
  char last = '\n';
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
    return false;
  }
  return ::pread(descriptor, &last, 1, status.st_size - 1) == 1 && last != '\n';
}

}  // namespace

struct JsonLines::Impl {
  std::filesystem::path path;
  int descriptor = -1;

  explicit Impl(const std::filesystem::path& file)
      : path(file),
        descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
    if (descriptor < 0) fail_write(path, errno);
  }
  ~Impl() { ::close(descriptor); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// A write that failed may have left part of a line behind.
  bool torn = false;

  void append(std::string_view text) {
    if (const int error = write_fully(descriptor, as_bytes(text)); error != 0) {
      torn = true;
      fail_write(path, error);
    }
  }
  void append_line(const std::string& line) {
    if (torn && ends_inside_line(descriptor)) append("\n");
    torn = false;
    append(line + '\n');
  }
};

JsonLines::JsonLines(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {
  impl_->torn = true;  // perhaps, by an earlier writer
}

JsonLines::~JsonLines() = default;

void JsonLines::write(const std::string& json) {
  std::string line = with_nulls(json);
  const bool one_line = line.find_first_of("\r\n") == std::string::npos;
  if (!one_line || !line.starts_with('{') || !nlohmann::json::accept(line)) {
    fail<UsageError>("[json] expected one JSON object on one line, got {}", quote(json));
  }
  impl_->append_line(line);
}

}  // namespace evenkeel::io
