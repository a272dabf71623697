#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>

#include <cmath>
#include <numbers>
#include <utility>

namespace evenkeel {
namespace {

constexpr std::int64_t kBlock = 4096;  // counters per task when filling

double to_unit(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (static_cast<std::uint64_t>(high) << 32) | low;
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

/// Two independent standard normals from one counter.
std::pair<double, double> normal_pair(const std::array<std::uint32_t, 4>& r) {
  const double u = 1.0 - to_unit(r[0], r[1]);  // in (0, 1]: its logarithm is finite
  const double angle = 2.0 * std::numbers::pi * to_unit(r[2], r[3]);
  const double radius = std::sqrt(-2.0 * std::log(u));
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

/// Element pair (2i, 2i+1) comes from counter i.
template <class T, class F>
void fill_pairs(std::span<T> out, F&& pair_of) {
  const auto count = static_cast<std::int64_t>(out.size());
  const std::int64_t counters = (count + 1) / 2;
  parallel_ranges(counters, kBlock, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto [first, second] = pair_of(static_cast<std::uint64_t>(i));
      out[static_cast<std::size_t>(2 * i)] = static_cast<T>(first);
      if (2 * i + 1 < count) out[static_cast<std::size_t>(2 * i + 1)] = static_cast<T>(second);
    }
  });
}

template <class T>
void fill_uniform_impl(const Random& random, std::uint64_t base, std::span<T> out, T low, T high) {
  const double width = static_cast<double>(high) - static_cast<double>(low);
  fill_pairs(out, [&](std::uint64_t i) {
    const auto r = random.block(base + i);
    return std::pair(static_cast<double>(low) + width * to_unit(r[0], r[1]),
                     static_cast<double>(low) + width * to_unit(r[2], r[3]));
  });
}

template <class T>
void fill_normal_impl(const Random& random, std::uint64_t base, std::span<T> out, T mean,
                      T stddev) {
  fill_pairs(out, [&](std::uint64_t i) {
    const auto [a, b] = normal_pair(random.block(base + i));
    return std::pair(static_cast<double>(mean) + static_cast<double>(stddev) * a,
                     static_cast<double>(mean) + static_cast<double>(stddev) * b);
  });
}

}  // namespace

std::array<std::uint32_t, 4> Random::block(std::uint64_t index) const {
  std::array<std::uint32_t, 4> x{static_cast<std::uint32_t>(index),
                                 static_cast<std::uint32_t>(index >> 32),
                                 static_cast<std::uint32_t>(stream_),
                                 static_cast<std::uint32_t>(stream_ >> 32)};
  auto key0 = static_cast<std::uint32_t>(seed_);
  auto key1 = static_cast<std::uint32_t>(seed_ >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * x[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * x[2];
    x = {static_cast<std::uint32_t>(p1 >> 32) ^ x[1] ^ key0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ x[3] ^ key1, static_cast<std::uint32_t>(p0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return x;
}

std::uint64_t Random::next_u64() {
  const auto r = block(position_++);
  return (static_cast<std::uint64_t>(r[0]) << 32) | r[1];
}

double Random::uniform() {
  const auto r = block(position_++);
  return to_unit(r[0], r[1]);
}

double Random::normal() { return normal_pair(block(position_++)).first; }

std::uint64_t Random::below(std::uint64_t bound) {
  if (bound == 0) fail<UsageError>("[random] expected a bound of 1 or more, got 0");
  // Refuse the uneven remainder at the top of the range.
  const std::uint64_t limit = UINT64_MAX - (UINT64_MAX % bound + 1) % bound;
  std::uint64_t value = next_u64();
  while (value > limit) value = next_u64();
  return value % bound;
}

void Random::fill_uniform(std::span<float> out, float low, float high) {
  fill_uniform_impl<float>(*this, position_, out, low, high);
  position_ += (out.size() + 1) / 2;
}
void Random::fill_uniform(std::span<double> out, double low, double high) {
  fill_uniform_impl<double>(*this, position_, out, low, high);
  position_ += (out.size() + 1) / 2;
}
void Random::fill_normal(std::span<float> out, float mean, float stddev) {
  fill_normal_impl<float>(*this, position_, out, mean, stddev);
  position_ += (out.size() + 1) / 2;
}
void Random::fill_normal(std::span<double> out, double mean, double stddev) {
  fill_normal_impl<double>(*this, position_, out, mean, stddev);
  position_ += (out.size() + 1) / 2;
}

void Random::shuffle(std::span<std::int64_t> values) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[below(i)]);
  }
}

Random Random::fork(std::uint64_t key) const {
  return Random(seed_, mix64(stream_ * 0x9E3779B97F4A7C15u + mix64(key) + 1));
}

std::uint64_t mix64(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

}  // namespace evenkeel
