// make_report_page LINES PAGE: a page of a file of JSON lines, for the browser's tests.

#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

#include <lab/report/page.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::ifstream in(argv[1], std::ios::binary);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  try {
    evenkeel::lab::write_page(argv[2], lines, {.title = "a lab"});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
