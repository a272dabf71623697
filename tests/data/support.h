// What several tests of this room need.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include <evenkeel/data/dataset.h>
#include <evenkeel/data/loader.h>

namespace evenkeel::data {

/// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "evenkeel-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string write(const std::string& name, std::string_view content) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

/// `n` samples of the shape, bytes counting up and wrapping, labels i % 10.
inline Dataset counting_bytes(const Shape& shape) {
  Dataset result;
  result.samples = Tensor::empty(shape, DType::u8);
  auto bytes = result.samples.span<std::uint8_t>();
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{1});
  for (std::int64_t i = 0; i < shape[0]; ++i) {
    result.labels.push_back(static_cast<std::int32_t>(i % 10));
  }
  result.classes = 10;
  return result;
}

/// `n` rows of one feature, the row's number; the label is that number too.
inline Dataset numbered_rows(std::int64_t n) {
  Dataset result;
  result.samples = Tensor::empty({n, 1});
  auto values = result.samples.span<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    values[static_cast<std::size_t>(i)] = static_cast<float>(i);
    result.labels.push_back(static_cast<std::int32_t>(i));
  }
  result.classes = n;
  return result;
}

/// All batches from `first` to the end of the epoch.
inline std::vector<Batch> collect(Loader& loader, std::int64_t epoch, std::int64_t first = 0) {
  std::vector<Batch> result;
  loader.start(epoch, first);
  for (Batch batch; loader.next(batch);) result.push_back(batch);
  return result;
}

inline bool same(const Batch& a, const Batch& b) {
  const auto x = a.x.span<float>();
  const auto y = b.x.span<float>();
  return a.labels == b.labels && a.x.shape() == b.x.shape() && a.x.layout() == b.x.layout() &&
         std::equal(x.begin(), x.end(), y.begin(), y.end());
}

inline bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Batch& x, const Batch& y) { return same(x, y); });
}

/// The labels of all batches in order.
inline std::vector<std::int32_t> labels_of(const std::vector<Batch>& batches) {
  std::vector<std::int32_t> result;
  for (const Batch& batch : batches) {
    result.insert(result.end(), batch.labels.begin(), batch.labels.end());
  }
  return result;
}

/// The message of the E that `action` throws; a failure if it throws none or another.
template <class E, class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no error";
  return {};
}

}  // namespace evenkeel::data

/// `message` holds `part`, and is one line.
#define EXPECT_SAYS(message, part)                                 \
  do {                                                             \
    const std::string message_ = (message);                        \
    EXPECT_NE(message_.find(part), std::string::npos) << message_; \
    EXPECT_EQ(message_.find('\n'), std::string::npos) << message_; \
  } while (false)
