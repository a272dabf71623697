// What was measured survives: kills, torn lines, other labs, a full disk.
#include "lab/journal.h"

#include <cmath>
#include <csignal>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "lab/folder.h"
#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

using testing::Folder;
using testing::lines_of;
using testing::text_of;

const Json kIdentity{{"kind", "journal"}, {"seeds", 5}};

Result result_of(const std::string& arm, std::uint64_t seed) {
  Result result;
  result.cell = {.stage = "final", .arm = arm, .at = {{"rate", 0.1}}, .seed = seed};
  result.measurement.values = {{"accuracy", 1.0 / 3}, {"nothing", std::nan("")}};
  result.measurement.series["loss"] = {{1, 2}, {0.5, 0.1 + 0.2}};
  result.measurement.seconds = 1.5;
  return result;
}

TEST(Journal, gives_back_what_was_added_to_the_last_bit) {
  const Folder folder;
  const Result result = result_of("a", 1);
  { Journal(folder / "cells.jsonl", kIdentity).add("one", result); }
  const Journal journal(folder / "cells.jsonl", kIdentity);
  EXPECT_EQ(journal.resumed(), 1U);
  const auto found = journal.find("one", result.cell);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->values.at("accuracy"), 1.0 / 3);
  EXPECT_TRUE(std::isnan(found->values.at("nothing")));
  EXPECT_EQ(found->series.at("loss").y, result.measurement.series.at("loss").y);
  EXPECT_EQ(found->seconds, 1.5);
}

TEST(Journal, tells_cells_apart) {
  const Folder folder;
  Journal journal(folder / "cells.jsonl", kIdentity);
  const Result result = result_of("a", 1);
  journal.add("one", result);
  EXPECT_FALSE(journal.find("two", result.cell));
  EXPECT_FALSE(journal.find("one", result_of("b", 1).cell));
  EXPECT_FALSE(journal.find("one", result_of("a", 2).cell));
  Cell other = result.cell;
  other.at[0].second = 0.2;
  EXPECT_FALSE(journal.find("one", other));
  other = result.cell;
  other.stage = "tune";
  EXPECT_FALSE(journal.find("one", other));
}

TEST(Journal, forgets_a_line_that_was_cut_off_at_any_place) {
  const Folder folder;
  const auto path = folder / "cells.jsonl";
  {
    Journal journal(path, kIdentity);
    journal.add("one", result_of("a", 1));
    journal.add("one", result_of("a", 2));
  }
  const std::string whole = text_of(path);
  const std::size_t second = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t length = second; length < whole.size(); length += 7) {
    std::filesystem::resize_file(path, length);
    {
      Journal journal(path, kIdentity);
      EXPECT_EQ(journal.resumed(), 1U);
      journal.add("one", result_of("a", 2));
    }
    EXPECT_EQ(text_of(path), whole);
  }
}

TEST(Journal, begins_anew_where_not_even_its_first_line_is_whole) {
  const Folder folder;
  const auto path = folder / "cells.jsonl";
  std::ofstream(path) << "{\"kind\": \"jour";
  { Journal(path, kIdentity).add("one", result_of("a", 1)); }
  EXPECT_EQ(lines_of(path).size(), 2U);
}

const Json kOther{{"kind", "journal"}, {"seeds", 6}};

TEST(Journal, refuses_another_lab_and_what_is_none) {
  const Folder folder;
  const auto path = folder / "cells.jsonl";
  { Journal(path, kIdentity).add("one", result_of("a", 1)); }
  const std::string before = text_of(path);
  EXPECT_THROW(Journal(path, kOther), UsageError);
  EXPECT_EQ(text_of(path), before);
  for (const char* const line :
       {"hello", "[]", "{\"kind\":\"cell\"}", "{\"kind\":3}", "\"\"", ""}) {
    const std::string foreign = std::string(line) + "\n";
    std::ofstream(path, std::ios::trunc) << foreign;
    EXPECT_THROW(Journal(path, kIdentity), IoError) << line;
    EXPECT_EQ(text_of(path), foreign);
  }
  EXPECT_THROW(Journal(folder / "no" / "cells.jsonl", kIdentity), IoError);
}

TEST(Journal, takes_another_lab_where_nothing_was_measured) {
  const Folder folder;
  const auto path = folder / "cells.jsonl";
  { const Journal journal(path, kOther); }
  std::ofstream(path, std::ios::app) << "{\"kind\": \"ce";
  { Journal(path, kIdentity).add("one", result_of("a", 1)); }
  EXPECT_EQ(lines_of(path).at(0), kIdentity.dump());
  EXPECT_EQ(Journal(path, kIdentity).resumed(), 1U);
}

TEST(Journal, leaves_out_lines_that_do_not_read_and_keeps_the_others) {
  const Folder folder;
  const auto path = folder / "cells.jsonl";
  {
    Journal journal(path, kIdentity);
    for (std::uint64_t seed = 1; seed <= 3; ++seed) journal.add("one", result_of("a", seed));
  }
  std::vector<std::string> lines = lines_of(path);
  for (const std::string& damage :
       {std::string("hello"), std::string("[]"), std::string("{\"kind\":\"cell\"}"), std::string(),
        lines[2].substr(0, 40) + lines[3], std::string(80, '\0')}) {
    {
      std::ofstream file(path, std::ios::trunc | std::ios::binary);
      file << lines[0] << "\n" << lines[1] << "\n" << damage << "\n" << lines[3] << "\n";
    }
    {
      Journal journal(path, kIdentity);
      EXPECT_EQ(journal.resumed(), 2U) << damage;
      EXPECT_EQ(journal.damaged(), 1U) << damage;
      EXPECT_TRUE(journal.find("one", result_of("a", 3).cell)) << damage;
      EXPECT_FALSE(journal.find("one", result_of("a", 2).cell)) << damage;
      journal.add("one", result_of("a", 2));
      EXPECT_EQ(journal.added(), 1U);
    }
    EXPECT_EQ(Journal(path, kIdentity).resumed(), 3U) << damage;
  }
}

TEST(Journal, is_written_by_one_lab_at_a_time) {
  const Folder folder;
  const auto path = folder / "cells.jsonl";
  {
    Journal journal(path, kIdentity);
    try {
      const Journal second(path, kIdentity);
      FAIL();
    } catch (const IoError& error) {
      EXPECT_NE(std::string(error.what()).find("another lab works in"), std::string::npos)
          << error.what();
    }
    journal.add("one", result_of("a", 1));
  }
  EXPECT_EQ(Journal(path, kIdentity).resumed(), 1U);
}

TEST(Journal, is_free_again_where_its_lab_was_killed) {
  const Folder folder;
  const auto path = folder / "cells.jsonl";
  const pid_t child = ::fork();
  if (child == 0) {
    Journal(path, kIdentity).add("one", result_of("a", 1));
    const Journal held(path, kIdentity);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(Journal(path, kIdentity).resumed(), 1U);
}

TEST(Journal, keeps_what_it_has_where_the_disk_is_full) {
  const Folder folder;
  const auto path = folder / "cells.jsonl";
  Journal journal(path, kIdentity);
  journal.add("one", result_of("a", 1));
  const std::string before = text_of(path);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  rlimit tight = limit;
  tight.rlim_cur = before.size() + 20;
  setrlimit(RLIMIT_FSIZE, &tight);
  EXPECT_THROW(journal.add("one", result_of("a", 2)), IoError);
  setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_EQ(text_of(path), before);
  journal.add("one", result_of("a", 2));
  EXPECT_EQ(lines_of(path).size(), 3U);
}

}  // namespace
}  // namespace evenkeel::lab
