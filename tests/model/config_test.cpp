#include <bit>
#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "model/support.h"

namespace evenkeel::model {
namespace {

using testing::message_of;

Config parse(std::string_view toml) { return parse_config(toml, "test.toml"); }

bool equal(const std::vector<LayerSpec>& a, const std::vector<LayerSpec>& b);

bool equal(const LayerSpec& a, const LayerSpec& b) {
  if (a.type != b.type || a.options.values() != b.options.values()) return false;
  if (a.children.size() != b.children.size()) return false;
  for (std::size_t i = 0; i < a.children.size(); ++i) {
    if (a.children[i].first != b.children[i].first) return false;
    if (!equal(a.children[i].second, b.children[i].second)) return false;
  }
  return true;
}

bool equal(const std::vector<LayerSpec>& a, const std::vector<LayerSpec>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i])) return false;
  }
  return true;
}

TEST(Config, ReadsEveryKindOfValue) {
  const Config config = parse("flag = true\ncount = 3\nrate = 1e-3\nname = \"x\"\nlist = [1, 2]\n");
  EXPECT_EQ(config.values.get("flag", false), true);
  EXPECT_EQ(config.values.get("count", std::int64_t{0}), 3);
  EXPECT_EQ(config.values.get("rate", 0.0), 1e-3);
  EXPECT_EQ(config.values.get("name", std::string()), "x");
  EXPECT_EQ(config.values.get("list", std::vector<std::int64_t>{}),
            (std::vector<std::int64_t>{1, 2}));
}

TEST(Config, ReadsNestedLayers) {
  const Config config = parse(R"(
    [[layer]]
    type = "Residual"
    activation = "relu"
    body = [
      {type = "Linear", in_features = 4, out_features = 4},
      {type = "Sequential", body = [{type = "ReLU"}]},
    ]
    [[layer]]
    type = "Concat"
    0 = [{type = "ReLU"}]
    1 = []
  )");
  ASSERT_EQ(config.layers.size(), 2U);
  const LayerSpec& residual = config.layers[0];
  ASSERT_EQ(residual.children.size(), 1U);
  EXPECT_EQ(residual.children[0].first, "body");
  ASSERT_EQ(residual.children[0].second.size(), 2U);
  EXPECT_EQ(residual.children[0].second[1].children[0].second[0].type, "ReLU");
  const LayerSpec& concat = config.layers[1];
  ASSERT_EQ(concat.children.size(), 2U);
  EXPECT_TRUE(concat.children[1].second.empty());
}

TEST(Config, OrdersBranchesByNumber) {
  std::string toml = "[[layer]]\ntype = \"Concat\"\n";
  for (int i = 11; i >= 0; --i) toml += fmt::format("{} = [{{type = \"ReLU\"}}]\n", i);
  const Config config = parse(toml);
  ASSERT_EQ(config.layers[0].children.size(), 12U);
  EXPECT_EQ(config.layers[0].children[2].first, "2");
  EXPECT_EQ(config.layers[0].children[10].first, "10");
}

TEST(Config, WritesWhatItReads) {
  Config config;
  config.values.set("flag", false);
  config.values.set("whole", 3.0);
  config.values.set("third", 1.0 / 3.0);
  config.values.set("tiny", 5e-324);
  config.values.set("huge", 1e300);
  config.values.set("infinite", -HUGE_VAL);
  config.values.set("minus zero", -0.0);
  config.values.set("text", std::string("a \"quoted\" \\ path\n\t\x01 \x7f é 字 🙂"));
  config.values.set("list", std::vector<std::int64_t>{1, -2, INT64_MAX, INT64_MIN});
  config.values.set("empty", std::vector<std::int64_t>{});
  LayerSpec inner{"Linear", {{"in_features", std::int64_t{3}}, {"bias", false}}, {}};
  LayerSpec nested{"Sequential", {}, {{"body", {inner, inner}}}};
  config.layers.push_back({"Residual",
                           {{"activation", std::string("relu")}},
                           {{"body", {nested}}, {"shortcut", {inner}}}});
  config.layers.push_back({"ReLU", {}, {}});
  const Config back = parse(to_toml(config));
  EXPECT_EQ(back.values.values(), config.values.values()) << to_toml(config);
  EXPECT_TRUE(equal(back.layers, config.layers)) << to_toml(config);
  EXPECT_TRUE(std::signbit(back.values.get("minus zero", 1.0)));
}

RC_GTEST_PROP(Config, RoundTripsAnyNumber, (std::uint64_t bits, std::int64_t integer)) {
  const double value = std::bit_cast<double>(bits);
  RC_PRE(!std::isnan(value));
  Config config;
  config.values.set("value", value);
  config.values.set("integer", integer);
  RC_ASSERT(parse(to_toml(config)).values.values() == config.values.values());
}

RC_GTEST_PROP(Config, RoundTripsAnyText, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::inRange<char>(0, 127));
  Config config;
  config.values.set("text", text);
  RC_ASSERT(parse(to_toml(config)).values.values() == config.values.values());
}

TEST(Config, RefusesToWriteTextThatIsNotUtf8) {
  for (const char* text : {"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80"}) {
    Config config;
    config.values.set("out", std::string(text));
    EXPECT_THROW(to_toml(config), UsageError) << text;
  }
}

TEST(Config, NamesThePlaceOfAFault) {
  EXPECT_EQ(message_of<IoError>([] {
              parse("net = \"mlp\"\nepochs = = 3\n");
            }).rfind("[config] test.toml:2:10: ", 0),
            0U);
}

TEST(Config, FaultsFitOneLine) {
  for (const char* toml : {"a = \"x\ny\"", "a = 1\na = 2", "[x", "a = \"\\q\"", "\xff = 1", "a"}) {
    const std::string message = message_of<IoError>([&] { parse(toml); });
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_EQ(message.rfind("[config] test.toml:", 0), 0U) << message;
  }
}

TEST(Config, RefusesValuesThatNoOptionHas) {
  EXPECT_EQ(message_of<UsageError>([] { parse("\n  day = 2026-01-01"); }),
            "[config] test.toml:2:9: 'day' is a date or time, which no option takes");
  EXPECT_EQ(message_of<UsageError>([] { parse("list = [1, 2.5]"); }),
            "[config] test.toml:1:12: 'list' expects a list of integers");
  EXPECT_NE(message_of<UsageError>([] { parse("[train]\nepochs = 3"); }).find("'train' is a table"),
            std::string::npos);
  EXPECT_NE(message_of<UsageError>([] { parse("layer = 3"); }).find("[[layer]]"),
            std::string::npos);
  EXPECT_NE(message_of<UsageError>([] { parse("[[layer]]\nbias = true"); }).find("needs a type"),
            std::string::npos);
}

TEST(Config, RefusesDeepNesting) {
  std::string toml = "{type = \"ReLU\"}";
  for (int i = 0; i < 200; ++i) toml = "{type = \"Sequential\", body = [" + toml + "]}";
  EXPECT_THROW(parse("layer = [" + toml + "]"), Error);
}

TEST(Config, ReadsAFileAndNamesIt) {
  const testing::TemporaryFolder folder;
  testing::write_text(folder / "a b.toml", "net = \"mlp\"\r\nepochs = 2\r\n");
  EXPECT_EQ(read_config(folder / "a b.toml").values.get("epochs", std::int64_t{0}), 2);
  EXPECT_NE(message_of<IoError>([&] { read_config(folder / "none.toml"); }).find("none.toml"),
            std::string::npos);
}

}  // namespace
}  // namespace evenkeel::model
