#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "io/atomic_writer.h"
#include "io/origin.h"
#include "io/protobuf.h"
#include <evenkeel/core/error.h>
#include <evenkeel/io/checksum.h>
#include <evenkeel/io/events.h>

namespace evenkeel::io {
namespace {

// Field numbers of tensorflow.Event, .Summary, .Summary.Value and .HistogramProto.
namespace event {
constexpr std::uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5;
}
namespace summary {
constexpr std::uint32_t kValue = 1, kTag = 1, kSimpleValue = 2, kHistogram = 5;
}
namespace histogram_proto {
constexpr std::uint32_t kMin = 1, kMax = 2, kNum = 3, kSum = 4, kSumSquares = 5, kBucketLimit = 6,
                        kBucket = 7;
}

constexpr std::size_t kBuckets = 64;
constexpr std::size_t kBufferSize = std::size_t{64} * 1024;

double wall_time() {
  using std::chrono::duration;
  return duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// A checksum stored beside its own data would be weak; TFRecord therefore rotates and shifts it.
std::uint32_t masked_crc(std::string_view data) {
  const std::uint32_t crc = crc32c(as_bytes(data));
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

/// length, checksum of the length, data, checksum of the data
std::string frame(const std::string& data) {
  std::string out;
  append_le<std::uint64_t>(out, data.size());
  append_le(out, masked_crc(out));
  out += data;
  append_le(out, masked_crc(data));
  return out;
}

/// Counts in kBuckets ranges of equal width from the smallest to the largest value.
ProtobufMessage encode_histogram(const std::vector<double>& values) {
  double low = 0;
  double high = 0;
  double sum = 0;
  double squares = 0;
  double count = 0;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    low = count == 0 ? v : std::min(low, v);
    high = count == 0 ? v : std::max(high, v);
    sum += v;
    squares += v * v;
    count += 1;
  }
  const std::size_t buckets = low < high ? kBuckets : 1;
  std::vector<double> limits(buckets);
  std::vector<double> counts(buckets);
  for (std::size_t i = 0; i < buckets; ++i) {
    const double t = static_cast<double>(i + 1) / static_cast<double>(buckets);
    limits[i] = i + 1 == buckets ? high : low * (1 - t) + high * t;
  }
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    const auto upper = std::upper_bound(limits.begin(), limits.end() - 1, v) - limits.begin();
    counts[static_cast<std::size_t>(upper)] += 1;
  }
  ProtobufMessage message;
  message.add_double(histogram_proto::kMin, low);
  message.add_double(histogram_proto::kMax, high);
  message.add_double(histogram_proto::kNum, count);
  message.add_double(histogram_proto::kSum, sum);
  message.add_double(histogram_proto::kSumSquares, squares);
  message.add_doubles(histogram_proto::kBucketLimit, limits);
  message.add_doubles(histogram_proto::kBucket, counts);
  return message;
}

/// Creates the file; a number is appended where another writer began in the same second.
int create_event_file(const std::filesystem::path& folder, std::filesystem::path& path) {
  const auto seconds = static_cast<std::int64_t>(wall_time());
  const std::string name = fmt::format("events.out.tfevents.{}.evenkeel", seconds);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    path = folder / (attempt == 0 ? name : fmt::format("{}.{}", name, attempt));
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) return descriptor;
    if (errno != EEXIST && errno != EINTR) break;
  }
  fail_write(path, errno);
}

}  // namespace

struct EventWriter::Impl {
  std::filesystem::path path;
  int descriptor = -1;
  std::string buffer;
  off_t good_bytes = 0;

  Impl() = default;
  ~Impl() {
    if (descriptor >= 0) ::close(descriptor);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void add(const ProtobufMessage& message) {
    buffer += frame(message.bytes());
    if (buffer.size() >= kBufferSize) flush();
  }
  void flush() {
    const std::string pending = std::exchange(buffer, {});
    if (const int error = write_fully(descriptor, as_bytes(pending)); error != 0) {
      // Part of a record would make readers stop there for good.
      if (::ftruncate(descriptor, good_bytes) == 0) ::lseek(descriptor, good_bytes, SEEK_SET);
      fail_write(path, error);
    }
    good_bytes += static_cast<off_t>(pending.size());
  }
  void add_value(const ProtobufMessage& value, std::int64_t step) {
    ProtobufMessage content;
    content.add_message(summary::kValue, value);
    ProtobufMessage message;
    message.add_double(event::kWallTime, wall_time());
    message.add_int(event::kStep, step);
    message.add_message(event::kSummary, content);
    add(message);
  }
};

EventWriter::EventWriter(const std::filesystem::path& folder) : impl_(std::make_unique<Impl>()) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) fail_write(folder, code.value());
  impl_->descriptor = create_event_file(folder, impl_->path);
  ProtobufMessage version;
  version.add_double(event::kWallTime, wall_time());
  version.add_bytes(event::kFileVersion, "brain.Event:2");
  impl_->add(version);
  impl_->flush();
}

EventWriter::~EventWriter() {
  try {
    impl_->flush();
  } catch (const Error&) {
    // A destructor cannot report it; whoever must know calls flush().
  }
}

void EventWriter::scalar(const std::string& tag, double value, std::int64_t step) {
  ProtobufMessage message;
  message.add_bytes(summary::kTag, tag);
  message.add_float(summary::kSimpleValue, static_cast<float>(value));
  impl_->add_value(message, step);
}

void EventWriter::histogram(const std::string& tag, const std::vector<double>& values,
                            std::int64_t step) {
  ProtobufMessage message;
  message.add_bytes(summary::kTag, tag);
  message.add_message(summary::kHistogram, encode_histogram(values));
  impl_->add_value(message, step);
}

void EventWriter::flush() { impl_->flush(); }

}  // namespace evenkeel::io
