#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <gtest/gtest.h>

namespace evenkeel {
namespace {

TEST(Options, GiveTheirValueOrTheFallback) {
  const Options o{{"a", std::int64_t{3}}, {"b", 0.5}, {"c", true}, {"d", std::string("x")},
                  {"e", std::vector<std::int64_t>{1, 2}}};
  EXPECT_EQ(o.get("a", std::int64_t{0}), 3);
  EXPECT_EQ(o.get("a", 0.0), 3.0);
  EXPECT_EQ(o.get("b", 0.0), 0.5);
  EXPECT_TRUE(o.get("c", false));
  EXPECT_EQ(o.get("d", std::string()), "x");
  EXPECT_EQ(o.get("e", std::vector<std::int64_t>{}), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(o.get("a", std::vector<std::int64_t>{0, 0}), (std::vector<std::int64_t>{3, 3}));
  EXPECT_EQ(o.get("missing", std::int64_t{9}), 9);
}

TEST(Options, RefuseWrongTypesAndMissingKeys) {
  const Options o{{"a", std::string("three")}};
  EXPECT_THROW((void)o.get("a", std::int64_t{0}), UsageError);
  EXPECT_THROW((void)o.get("a", true), UsageError);
  EXPECT_THROW((void)o.require_int("b", "here"), UsageError);
}

TEST(Options, NameTheNearestKnownKey) {
  const Options o{{"momentun", 0.1}};
  (void)o.get("momentum", 0.1);
  (void)o.get("eps", 1e-5);
  try {
    o.reject_unknown("BatchNorm2d");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "[BatchNorm2d] unknown key 'momentun'; did you mean 'momentum'?");
  }
}

TEST(Nearest, SuggestsSlipsAndNothingElse) {
  EXPECT_EQ(nearest("mnits", {"glyphs", "mnist"}), "mnist");
  EXPECT_EQ(nearest("zebra", {"glyphs", "mnist"}), std::nullopt);
}

}  // namespace
}  // namespace evenkeel
