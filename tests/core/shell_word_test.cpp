#include <array>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include <evenkeel/core/shell_word.h>

namespace evenkeel {
namespace {

TEST(ShellWord, leaves_alone_what_means_nothing_to_the_shell) {
  for (const char* const word : {"runs/lab-2", "glyphs:train=600,test=200", "--seeds", "a@b%+_"}) {
    EXPECT_EQ(shell_word(word), word);
  }
}

TEST(ShellWord, quotes_everything_else_so_that_a_shell_gives_it_back) {
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("two words"), "'two words'");
  for (const std::string word : {"two words", "it's", "$HOME", "a;b", "~", "*", "\"x\"", "a\\b",
                                 "two\nlines", "ü", "'", "#"}) {
    const std::string command = "printf %s " + shell_word(word);
    FILE* const shell = ::popen(command.c_str(), "r");
    ASSERT_NE(shell, nullptr);
    std::array<char, 64> text{};
    const std::size_t size = std::fread(text.data(), 1, text.size(), shell);
    EXPECT_EQ(::pclose(shell), 0);
    EXPECT_EQ(std::string(text.data(), size), word);
  }
}

}  // namespace
}  // namespace evenkeel
