#include "lab/report/page.h"

#include <map>
#include <string_view>

#include <nlohmann/json.hpp>

#include "lab/report/assets.h"
#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>

namespace evenkeel::lab {
namespace {

std::string html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

void check_line(const std::string& line, std::size_t number) {
  const bool one_line = line.find_first_of("\r\n") == std::string::npos;
  if (one_line && line.starts_with('{') && nlohmann::json::accept(line)) return;
  constexpr std::size_t kShown = 40;
  std::string shown = line.substr(0, kShown) + (line.size() > kShown ? "..." : "");
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  fail<UsageError>("[report] line {}: expected one JSON object on one line, got '{}'", number,
                   shown);
}

/// In JSON '<' stands inside texts alone, where its escape means the same. Without it the block of
/// data can neither end early nor open a comment.
std::string data_of(std::span<const std::string> lines) {
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    check_line(lines[i], i + 1);
    if (i > 0) out += '\n';
    for (const char c : lines[i]) {
      if (c == '<') {
        out += "\\u003c";
      } else {
        out += c;
      }
    }
  }
  return out;
}

/// No source but what the page holds itself; scripts and styles by their hashes.
std::string policy() {
  return fmt::format(
      "default-src 'none'; script-src '{}' '{}'; style-src '{}'; img-src data:; base-uri 'none'; "
      "form-action 'none'",
      kChartHash, kAppHash, kStyleHash);
}

/// Puts each {{name}} of the template in its place; what is put there is not looked at again.
std::string fill(std::string_view text,
                 const std::map<std::string, std::string, std::less<>>& parts) {
  std::string out;
  while (true) {
    const std::size_t begin = text.find("{{");
    const std::size_t end = text.find("}}", begin == std::string_view::npos ? text.size() : begin);
    if (end == std::string_view::npos) return out.append(text);
    out.append(text.substr(0, begin))
        .append(parts.find(text.substr(begin + 2, end - begin - 2))->second);
    text.remove_prefix(end + 2);
  }
}

}  // namespace

std::string make_page(std::span<const std::string> lines, const PageOptions& options) {
  return fill(kTemplate, {{"policy", policy()},
                          {"title", html(options.title)},
                          {"style", std::string(kStyle)},
                          {"licence", html(kLicence)},
                          {"data", data_of(lines)},
                          {"chart", std::string(kChart)},
                          {"app", std::string(kApp)}});
}

void write_page(const std::filesystem::path& path, std::span<const std::string> lines,
                const PageOptions& options) {
  io::write_file_atomic(path, std::string_view(make_page(lines, options)));
}

}  // namespace evenkeel::lab
