// The file reader under the others, which inflates.
#include "readers.h"
#include "support.h"
#include <evenkeel/io/file.h>

namespace evenkeel::fuzz {
namespace {

constexpr std::size_t kLimit = std::size_t{1} << 16;

std::string_view text_of(const std::vector<std::byte>& content) {
  return {reinterpret_cast<const char*>(content.data()), content.size()};
}

void read(std::string_view bytes) {
  std::vector<std::byte> content;
  const bool read = accepts([&] { content = io::read_file_maybe_gzip(file_of(bytes), kLimit); });
  const bool gzip = bytes.starts_with("\x1f\x8b");
  promise(gzip || read == (bytes.size() <= kLimit), "a plain file of {} bytes", bytes.size());
  if (!read) return;
  promise(content.size() <= kLimit, "{} bytes where {} is the limit", content.size(), kLimit);
  if (!gzip) return promise(text_of(content) == bytes, "a plain file is read as another");
  promise(inflated(deflated(text_of(content), true), true, kLimit) == text_of(content),
          "the content differs once packed");
  // A stream of one member means the same to zlib's own loop.
  if (const auto expected = inflated(bytes, true, kLimit)) {
    promise(*expected == text_of(content), "zlib inflates the file to something else");
  }
}

std::vector<Seed> seeds() {
  const std::string text = "x,y,label\n1,2,a\n3,4,b\n";
  const std::string one = deflated(text, true);
  std::string named = one;  // with a file name, a comment and a checksum of the header
  named[3] = '\x1a';
  named.insert(10, std::string("name\0comment\0\0\0", 15));
  std::string stored = one;
  stored.replace(10, stored.size() - 18,
                 '\x01' + little(text.size(), 2) + little(~text.size(), 2) + text);
  std::string bomb = deflated(std::string(4 * kLimit, '\0'), true);
  return {
      {"plain", text},
      {"one", one},
      {"two_members", one + deflated("more\n", true)},
      {"empty_members", deflated("", true) + deflated("", true)},
      {"named", named},
      {"stored", stored},
      {"cut", one.substr(0, one.size() - 5)},
      {"trailing_zeros", one + std::string(16, '\0')},
      {"trailing_text", one + "text"},
      {"past_the_limit", bomb},
      {"reserved_flags", std::string("\x1f\x8b\x08\xe0\0\0\0\0\0\0", 10) + one.substr(10)},
      {"magic_alone", std::string("\x1f\x8b", 2)},
  };
}

std::optional<std::string> unpack(std::string_view bytes) { return inflated(bytes, true, kLimit); }

std::string pack(std::string_view inside) { return deflated(inside, true); }

}  // namespace

Target gzip_target() {
  return {.reader = "gzip", .read = read, .seeds = seeds, .unpack = unpack, .pack = pack};
}

}  // namespace evenkeel::fuzz
