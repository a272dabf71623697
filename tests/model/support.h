// Helpers of this folder's tests.
#pragma once

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include <evenkeel/core/error.h>
#include <evenkeel/core/random.h>
#include <evenkeel/core/tensor.h>
#include <evenkeel/model/config.h>

namespace evenkeel::testing {

/// A folder of its own (with a space in its name), removed with its content.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("evenkeel model {} {}", ::getpid(), count++);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline Tensor random_tensor(const Shape& shape, std::uint64_t seed,
                            Layout layout = Layout::channels_first) {
  Tensor result = Tensor::empty(shape, DType::f32, layout);
  Random random(seed, 7);
  random.fill_normal(result.span<float>(), 0, 1);
  return result;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && a.layout() == b.layout() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

/// The message of the E that `f` throws; a test failure where it throws none.
template <class E>
std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no error";
  return {};
}

}  // namespace evenkeel::testing
