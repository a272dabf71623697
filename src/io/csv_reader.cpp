#include "io/csv_reader.h"

#include <algorithm>
#include <cstdint>
#include <span>

namespace evenkeel::io {
namespace {

constexpr std::size_t kMaxRecord = std::size_t{1} << 20;
constexpr std::size_t kMaxFields = std::size_t{1} << 18;

char choose_separator(std::string_view line) {
  constexpr std::string_view kSeparators = ",;\t";
  std::size_t counts[kSeparators.size()] = {};
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    const auto which = kSeparators.find(c);
    if (!quoted && which != std::string_view::npos) ++counts[which];
  }
  return kSeparators[static_cast<std::size_t>(std::ranges::max_element(counts) - counts)];
}

}  // namespace

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

CsvReader::CsvReader(Source& text, const Origin& origin) : text_(text), origin_(origin) {
  fetch();
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  if (skip_blank_lines()) separator_ = choose_separator(rest_.substr(0, record_end()));
}

/// Sees to it that more than the longest record possible lies in `rest_`, or all that is left.
void CsvReader::fetch() {
  while (!ended_ && rest_.size() <= kMaxRecord) {
    buffer_.erase(0, buffer_.size() - rest_.size());
    const std::size_t begin = buffer_.size();
    const auto most =
        static_cast<std::size_t>(std::min<std::uint64_t>(text_.at_most(), 2 * kMaxRecord - begin));
    buffer_.resize(begin + most);
    const auto room = std::as_writable_bytes(std::span<char>(buffer_)).subspan(begin);
    const std::size_t got = text_.read(room);
    ended_ = got < most || text_.at_most() == 0;
    buffer_.resize(begin + got);
    rest_ = buffer_;
  }
}

/// Moves to the next line that is not blank; false where there is none.
bool CsvReader::skip_blank_lines() {
  fetch();
  // A line of tabs alone may be a record of empty fields; it is refused as such.
  const auto end = rest_.find_first_not_of(" \r\n");
  const std::string_view blanks = rest_.substr(0, end);
  if (end == std::string_view::npos && !ended_) {
    origin_.refuse("line {}: expected a row, got {} bytes of blank lines", next_line_,
                   blanks.size());
  }
  const auto begin = blanks.rfind('\n') + 1;  // of the line that is not blank, if any
  next_line_ += static_cast<std::size_t>(std::ranges::count(blanks, '\n'));
  rest_.remove_prefix(begin);
  return end != std::string_view::npos;
}

std::size_t CsvReader::record_end() const {
  bool quoted = false;
  const std::size_t most = std::min(rest_.size(), kMaxRecord + 1);
  std::size_t i = 0;
  for (; i < most; ++i) {
    if (rest_[i] == '"') quoted = !quoted;
    if (rest_[i] == '\n' && !quoted) return i;
  }
  if (quoted) origin_.refuse("line {}: a quote is opened and not closed", next_line_);
  if (i > kMaxRecord) {
    origin_.refuse("line {}: expected at most {} bytes, got more", next_line_, kMaxRecord);
  }
  return i;
}

bool CsvReader::next() {
  if (!skip_blank_lines()) return false;
  const std::size_t end = record_end();
  const std::string_view record = rest_.substr(0, end);
  line_ = next_line_;
  next_line_ += 1 + static_cast<std::size_t>(std::ranges::count(record, '\n'));
  rest_.remove_prefix(std::min(rest_.size(), end + 1));
  split(record);
  return true;
}

/// A quoted field from the front of `record`, up to the separator behind it.
std::string CsvReader::take_quoted(std::string_view& record) const {
  std::string field;
  std::size_t i = record.find('"') + 1;
  while (true) {
    const auto mark = record.find('"', i);
    if (mark == std::string_view::npos) {
      origin_.refuse("line {}: a quote is opened and not closed", line_);
    }
    field += record.substr(i, mark - i);
    i = mark + 1;
    if (i >= record.size() || record[i] != '"') break;
    field += '"';
    ++i;
  }
  const auto end = std::min(record.find(separator_, i), record.size());
  if (!trim(record.substr(i, end - i)).empty()) {
    origin_.refuse("line {}, column {}: expected a separator after the closing quote, got {}",
                   line_, fields_.size() + 1, quote(trim(record.substr(i, end - i)), 20));
  }
  record.remove_prefix(end);
  return field;
}

void CsvReader::split(std::string_view record) {
  fields_.clear();
  while (true) {
    const auto end = std::min(record.find(separator_), record.size());
    if (trim(record.substr(0, end)).starts_with('"')) {
      fields_.push_back(take_quoted(record));
    } else {
      fields_.emplace_back(trim(record.substr(0, end)));
      record.remove_prefix(end);
    }
    if (fields_.size() > kMaxFields) {
      origin_.refuse("line {}: expected at most {} columns, got more", line_, kMaxFields);
    }
    if (record.empty()) return;
    record.remove_prefix(1);
  }
}

}  // namespace evenkeel::io
