// Config files that nobody means: refused with their place, for little time and memory.
#include <gtest/gtest.h>

#include "model/support.h"
#include "model/toml_limits.h"

namespace evenkeel::model {
namespace {

using testing::message_of;

std::string repeated(std::string_view text, std::size_t count) {
  std::string result;
  for (std::size_t i = 0; i < count; ++i) result += text;
  return result;
}

/// The message, which names the place and is one line that a person reads.
std::string refusal(const std::string& toml) {
  const std::string message = message_of<Error>([&] { parse_config(toml, "test.toml"); });
  EXPECT_EQ(message.rfind("[config] test.toml", 0), 0U) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_LT(message.size(), 400U) << message;
  return message;
}

TEST(HostileConfig, KeysOfManyPartsDoNotOverflowTheStack) {
  const std::string dots = repeated(".a", 400'000);
  EXPECT_EQ(refusal("net = \"mlp\"\na" + dots + " = 1\n"),
            "[config] test.toml:2: expected keys of at most 8 parts, got more");
  refusal("[a" + dots + "]\n");
  refusal("[[a" + dots + "]]\n");
  refusal("x = {a" + dots + " = 1}\n");
  refusal("x = [\n{\"a\"" + repeated(".\"a\"", 200'000) + " = 1}]\n");
  refusal("x = [\"\"\"a\"\"\"\", {a" + dots + " = 1}]\n");
  refusal("x = ['''a''''', {a" + dots + " = 1}]\n");
  refusal("x = '''\n'''\na" + dots + " = 1\n");
  refusal("x = \"\\\"\" # '\na" + dots + " = 1\n");
}

TEST(HostileConfig, KeysOfEightPartsInEveryNestedValueDoNotOverflowTheStack) {
  const std::string open = "{a" + repeated(".a", kMaxKeyParts - 1) + " = [\n";
  refusal("x = [" + repeated(open, 250));
  refusal("x = [" + repeated(open, 100) + repeated("]}", 100) + "]");
}

TEST(HostileConfig, DotsOutsideOfKeysAreNoParts) {
  for (const char* toml : {"x = \"..........\"", "x = '..........'", "x = \"\"\"\n..........\"\"\"",
                           "x = '''..........\n'''", "# ..........", "x = \"a\" # ..........",
                           "x = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]",
                           "a.b.c.d.e.f.g.h = 1", "x = \"\\\"..........\""}) {
    EXPECT_EQ(line_of_deep_key(toml), 0U) << toml;
  }
  EXPECT_EQ(line_of_deep_key("a.b.c.d.e.f.g.h.i = 1"), 1U);
}

TEST(HostileConfig, NestedValuesAreBounded) {
  refusal("x = " + repeated("[", 100'000));
  refusal("x = " + repeated("{a=", 100'000));
}

TEST(HostileConfig, LongTextsKeysAndListsAreRefused) {
  refusal(repeated("k", 200'000) + " = 1\n");
  refusal("net = \"" + repeated("n", 200'000) + "\"\n");
  refusal("input = [" + repeated("1,", 200'000) + "]\n");
  refusal("\"a\\nb\" = 1\n");
  refusal("[[layer]]\ntype = \"a\\nb\"\n");
  refusal("[[layer]]\ntype = \"Residual\"\nactivation = \"a\\nb\"\n");
  refusal(repeated("# a comment\n", 100'000));
}

TEST(HostileConfig, ManyLayersAreRefused) {
  refusal("layer = [" + repeated("{type=\"ReLU\"},", 20'000) + "]\n");
}

TEST(HostileConfig, NumbersOfLayersFitTheirSums) {
  for (const char* number : {"9223372036854775807", "-9223372036854775808", "2147483649"}) {
    refusal(fmt::format("[[layer]]\ntype = \"Conv1d\"\ndilation = {}\n", number));
    refusal(fmt::format("[[layer]]\ntype = \"Conv2d\"\npadding = [1, {}]\n", number));
  }
}

}  // namespace
}  // namespace evenkeel::model
