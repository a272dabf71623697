// The page as a file: what is in it, and that no text of the data becomes markup.

#include <fstream>

#include <gtest/gtest.h>
#include <lab/report/page.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

#include "io/io_testing.h"
#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

using io::testing::contains;
using Json = nlohmann::json;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

/// What lies between the tags of the block of data.
std::string data_block(const std::string& page) {
  const std::string begin = R"(<script type="application/json" id="data">)";
  const std::size_t from = page.find(begin) + begin.size();
  return page.substr(from, page.find("</script>", from) - from);
}

std::vector<Json> data_lines(const std::string& page) {
  std::istringstream text(data_block(page));
  std::vector<Json> lines;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty()) lines.push_back(Json::parse(line));
  }
  return lines;
}

std::string message_for(const std::vector<std::string>& lines) {
  try {
    make_page(lines);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Page, HoldsTheLinesAndWhatDrawsThem) {
  const std::vector<std::string> lines{R"({"kind":"lab","version":"0.1.0"})",
                                       R"({"kind":"cell","values":{"a":null}})"};
  const std::string page = make_page(lines);
  EXPECT_EQ(page.find("<!doctype html>"), 0U);
  EXPECT_FALSE(contains(page.substr(0, page.find("<style>")), "{{"));
  const std::vector<Json> found = data_lines(page);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0], Json::parse(lines[0]));
  EXPECT_EQ(found[1], Json::parse(lines[1]));
  EXPECT_TRUE(contains(page, "Chart.js v3."));
  EXPECT_TRUE(contains(page, "The above copyright notice and this permission notice"));
  EXPECT_EQ(count(page, "<script>"), 2U);
  EXPECT_EQ(count(page, "</script>"), 3U);
}

TEST(Page, AllowsNothingFromElsewhere) {
  const std::string page = make_page({});
  EXPECT_TRUE(contains(page, "default-src 'none'; script-src 'sha256-"));
  EXPECT_FALSE(contains(page, "unsafe"));
  for (const char* outside : {"src=\"http", "url(http", "@import", "<link rel=\"stylesheet\""}) {
    EXPECT_FALSE(contains(page, outside)) << outside;
  }
}

TEST(Page, TextsThatLookLikeMarkupStayInTheData) {
  const std::string hostile =
      R"(</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)>)";
  const Json line{{"kind", "experiment"}, {"name", hostile}, {hostile, "key"}};
  const std::string page = make_page(std::vector<std::string>{line.dump()});
  EXPECT_EQ(count(page, "<script>"), 2U);
  EXPECT_EQ(count(page, "</script>"), 3U);
  EXPECT_FALSE(contains(page, "<!--"));
  EXPECT_FALSE(contains(data_block(page), "<"));
  EXPECT_EQ(data_lines(page), std::vector<Json>{line});
}

TEST(Page, PlacesOfTheTemplateInTheDataStayData) {
  const Json line{{"kind", "lab"}, {"command", "{{app}} {{data}} {{nothing}} {{"}};
  EXPECT_EQ(data_lines(make_page(std::vector<std::string>{line.dump()})), std::vector<Json>{line});
}

TEST(Page, TheTitleIsText) {
  const std::string page = make_page({}, {.title = R"(a</title><script>"b"&)"});
  EXPECT_EQ(count(page, "<title>a&lt;/title&gt;&lt;script&gt;&quot;b&quot;&amp;</title>"), 1U);
}

TEST(Page, WithoutLinesIsAPage) { EXPECT_TRUE(data_lines(make_page({})).empty()); }

TEST(Page, RefusesWhatIsNoObjectOnOneLine) {
  const std::string good = R"({"kind":"lab"})";
  for (const std::string bad : {"", "[]", "7", "{", "{\"a\":nan}", "{\"a\":\"\xff\"}",
                                "{\"a\":\n1}", "{}\r", "{} {}", "\xef\xbb\xbf{}"}) {
    EXPECT_TRUE(contains(message_for({good, bad}), "[report] line 2: expected one JSON object"))
        << bad;
    EXPECT_EQ(message_for({good, bad}).find_first_of("\r\n"), std::string::npos);
  }
  EXPECT_LT(message_for({std::string(1 << 20, 'x')}).size(), 200U);
  EXPECT_TRUE(contains(message_for({std::string(1 << 20, '[')}), "line 1"));
}

TEST(Page, IsWrittenAsAWhole) {
  const io::testing::TempFolder folder;
  const std::vector<std::string> lines{R"({"kind":"lab"})"};
  write_page(folder / "page.html", lines, {.title = "t"});
  EXPECT_EQ(io::testing::read_bytes(folder / "page.html"), make_page(lines, {.title = "t"}));
  EXPECT_THROW(write_page(folder / "none" / "page.html", lines), IoError);
  const std::vector<std::string> bad{"{"};
  EXPECT_THROW(write_page(folder / "page.html", bad), UsageError);
  EXPECT_EQ(io::testing::read_bytes(folder / "page.html"), make_page(lines, {.title = "t"}));
  EXPECT_EQ(folder.count(), 1U);
}

RC_GTEST_PROP(PageProperty, AnyTextComesBackAsItWas, (std::string key, std::string text)) {
  const Json line{{"kind", key}, {"text", text}};
  const std::string dumped = line.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string page = make_page(std::vector<std::string>{dumped});
  RC_ASSERT(count(page, "</script>") == 3U);
  RC_ASSERT(data_lines(page).at(0) == Json::parse(dumped));
}

}  // namespace
}  // namespace evenkeel::lab
