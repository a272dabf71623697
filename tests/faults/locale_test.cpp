// A program around the library may have set a locale whose numbers look otherwise: files, messages
// and what is read stay the same.

#include <array>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <locale>
#include <sstream>

#include <fmt/format.h>

#include "faults/small_run.h"
#include "faults/tiny_run.h"
#include <evenkeel/io/table.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

/// 1.234.567,5
class CommaNumbers : public std::numpunct<char> {
 protected:
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

/// Sets the locale of C++ streams, and where one can be made, that of C.
class CommaLocale {
 public:
  CommaLocale()
      : before_(std::locale::global(std::locale(std::locale::classic(), new CommaNumbers))) {
    write_text(folder_ / "numbers",
               "comment_char %\nescape_char /\nLC_NUMERIC\ndecimal_point \",\"\n"
               "thousands_sep \".\"\ngrouping 3;3\nEND LC_NUMERIC\n");
    const std::string command = fmt::format(
        "localedef -c -f ISO-8859-1 -i '{0}/numbers' '{0}/comma'", folder_.path().string());
    // It warns of all that is not a number.
    if (std::system((command + " >/dev/null 2>&1").c_str()) < 0) return;
    ::setenv("LOCPATH", folder_.path().c_str(), 1);
    std::setlocale(LC_ALL, "comma");
    ::unsetenv("LOCPATH");
  }
  ~CommaLocale() {
    std::setlocale(LC_ALL, "C");
    std::locale::global(before_);
  }
  CommaLocale(const CommaLocale&) = delete;
  CommaLocale& operator=(const CommaLocale&) = delete;

  /// Whether C's functions write commas too.
  static bool of_c() { return *std::localeconv()->decimal_point == ','; }

 private:
  const TemporaryFolder folder_;
  std::locale before_;
};

/// A run with all the text it wrote, its folder's name and times taken out.
struct Written {
  std::string config, weights, checkpoint_network, shown;
};

std::string without_times(const std::string& text) {
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" steps in ") != std::string::npos) continue;
    // The last column of the table holds seconds.
    result +=
        (line.find(" %") != std::string::npos ? line.substr(0, line.rfind(' ')) : line) + "\n";
  }
  return result;
}

Written write_run(const fs::path& folder) {
  train::Settings settings = small_settings(folder / "run");
  settings.lr = 0.0125;
  settings.weight_decay = 1234.5e-7;
  std::FILE* const shown = std::fopen((folder / "shown").c_str(), "w+");
  train::TerminalReporter reporter(shown, shown);
  train::Trainer(settings, small_splits(), &reporter).run();
  std::fclose(shown);
  Written written;
  written.config = read_text(folder / "run/config.toml");
  written.weights = read_text(folder / "run/final.safetensors");
  written.shown = without_times(read_text(folder / "shown"));
  for (std::string* text : {&written.config, &written.shown}) {
    for (std::size_t at = 0; (at = text->find(folder.string())) != std::string::npos;) {
      text->replace(at, folder.string().size(), "FOLDER");
    }
  }
  return written;
}

TEST(InProcessLocale, TheLocaleOfTheTestIsAnother) {
  const CommaLocale locale;
  std::ostringstream text;
  text << 1234.5;
  EXPECT_EQ(text.str(), "1.234,5");
  if (!CommaLocale::of_c()) GTEST_SKIP() << "no locale with commas for C's functions can be made";
  std::array<char, 32> printed{};
  std::snprintf(printed.data(), printed.size(), "%.1f", 1234.5);
  EXPECT_STREQ(printed.data(), "1234,5");
}

TEST(InProcessLocale, RunsAreWrittenAsEver) {
  const TemporaryFolder plain_folder, comma_folder;
  const Written plain = write_run(plain_folder.path());
  const CommaLocale locale;
  const Written comma = write_run(comma_folder.path());
  EXPECT_EQ(comma.config, plain.config);
  EXPECT_EQ(comma.weights, plain.weights);
  EXPECT_EQ(comma.shown, plain.shown);
  EXPECT_TRUE(contains(plain.config, "lr = 0.0125"));
}

TEST(InProcessLocale, RunsAreReadAsEver) {
  const TemporaryFolder folder;
  const Written plain = write_run(folder.path());
  const CommaLocale locale;
  const train::Settings settings = train::stored_settings(folder / "run");
  EXPECT_EQ(settings.lr, 0.0125);
  EXPECT_EQ(settings.weight_decay, 1234.5e-7);
  const model::LoadedNetwork loaded = model::load_run(folder / "run");
  ASSERT_EQ(loaded.recipe.mean.size(), 4U);
  for (const float mean : loaded.recipe.mean) EXPECT_LT(std::abs(mean), 1.0F);
  train::Trainer(settings, small_splits()).run();
  EXPECT_EQ(read_text(folder / "run/final.safetensors"), plain.weights);
}

TEST(InProcessLocale, NumbersInTextAreReadAsEver) {
  const TemporaryFolder folder;
  write_text(folder / "rows.csv", "a,b,label\n1.5,-2.25e-1,x\n1234.5,0.001,y\n");
  const CommaLocale locale;
  const io::Table table = io::read_csv(folder / "rows.csv", {});
  const auto values = table.values.span<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()),
            (std::vector<float>{1.5F, -0.225F, 1234.5F, 0.001F}));
  train::Settings settings;
  train::set_from_text(settings, "lr", "0.25");
  EXPECT_EQ(settings.lr, 0.25);
  EXPECT_EQ(model::parse_config("lr = 0.5\nepochs = 1_000", "text").values.get("lr", 0.0), 0.5);
}

}  // namespace
}  // namespace evenkeel::testing
