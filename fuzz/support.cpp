#include "support.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>

#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

namespace evenkeel::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestMessage = 8192;

class WorkFolder {
 public:
  WorkFolder() {
    std::error_code ignored;
    const bool choose = std::getenv("TMPDIR") == nullptr && fs::is_directory("/dev/shm", ignored);
    const fs::path parent = choose ? fs::path("/dev/shm") : fs::temp_directory_path();
    std::string name = (parent / "evenkeel-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot create " + name);
    path_ = name;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

z_stream stream_of(std::string_view bytes) {
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  return stream;
}

int window_of(bool gzip) { return gzip ? MAX_WBITS + 16 : MAX_WBITS; }

}  // namespace

void check_message(std::string_view text, Lines lines) {
  promise(!text.empty(), "an error without a message");
  promise(text.front() == '[', "a message that does not say where it comes from: {}", text);
  promise(lines == Lines::any || text.find('\n') == std::string_view::npos,
          "a message of several lines: {}", text);
  promise(text.size() <= kLongestMessage, "a message of {} bytes: {}…", text.size(),
          text.substr(0, 200));
}

bool same(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  return a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

void check_tensor(const Tensor& tensor, std::uint64_t most) {
  promise(tensor.defined(), "a tensor that holds nothing");
  std::int64_t product = 1;
  for (const std::int64_t dim : tensor.shape().dims()) {
    promise(dim >= 0, "a negative extent in {}", tensor.shape().str());
    product *= dim;
  }
  promise(product == tensor.numel(), "{} elements of shape {}", tensor.numel(),
          tensor.shape().str());
  promise(tensor.bytes() == static_cast<std::size_t>(product) * size_of(tensor.dtype()),
          "{} bytes for {} elements", tensor.bytes(), product);
  promise(tensor.bytes() <= most, "{} bytes where the file has room for {}", tensor.bytes(), most);
}

MemoryFile::MemoryFile()
    : descriptor_(::memfd_create("evenkeel-fuzz", MFD_CLOEXEC)),
      path_("/proc/self/fd/" + std::to_string(descriptor_)) {
  if (descriptor_ < 0) throw std::runtime_error("cannot create a file in memory");
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

void MemoryFile::set(std::string_view bytes) {
  const auto size = static_cast<ssize_t>(bytes.size());
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0 ||
      ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) != size) {
    throw std::runtime_error("cannot write a file in memory");
  }
}

const fs::path& file_of(std::string_view bytes) {
  static MemoryFile file;
  file.set(bytes);
  return file.path();
}

const fs::path& work_folder() {
  static const WorkFolder folder;
  return folder.path();
}

std::string read_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_bytes(const fs::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string little(std::uint64_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

std::string big(std::uint64_t value, int count) {
  const std::string bytes = little(value, count);
  return {bytes.rbegin(), bytes.rend()};
}

std::string deflated(std::string_view bytes, bool gzip) {
  z_stream stream = stream_of(bytes);
  constexpr int kMemory = 8;  // zlib's own default
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_of(gzip), kMemory,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("cannot deflate");
  return out;
}

std::optional<std::string> inflated(std::string_view bytes, bool gzip, std::size_t limit) {
  z_stream stream = stream_of(bytes);
  if (inflateInit2(&stream, window_of(gzip)) != Z_OK) throw std::bad_alloc();
  std::string out;
  std::array<char, 16384> chunk;
  int result = Z_OK;
  while (result == Z_OK && out.size() <= limit) {
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(chunk.data(), chunk.size() - stream.avail_out);
  }
  const bool whole = result == Z_STREAM_END && stream.avail_in == 0 && out.size() <= limit;
  inflateEnd(&stream);
  if (!whole) return std::nullopt;
  return out;
}

}  // namespace evenkeel::fuzz
