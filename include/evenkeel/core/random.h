// Counter-based random numbers: number i of a stream is a function of (seed, stream, i), so the same
// numbers come out for any number of threads, and a generator's state is three integers.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace evenkeel {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
class Random {
 public:
  /// Streams of one seed are independent; give each purpose its own.
  explicit Random(std::uint64_t seed = 0, std::uint64_t stream = 0)
      : seed_(seed), stream_(stream) {}

  /// The four 32-bit numbers of counter `index`: a pure function that does not advance the state.
  std::array<std::uint32_t, 4> block(std::uint64_t index) const;

  /// The next 32 or 64 random bits; each call uses one counter.
  std::uint32_t next_u32() { return block(position_++)[0]; }
  std::uint64_t next_u64();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Standard normal (Box–Muller).
  double normal();
  /// Uniform in [0, bound), without bias; UsageError for a bound of 0.
  std::uint64_t below(std::uint64_t bound);

  /// Fills in parallel and advances the position by the numbers used.
  void fill_uniform(std::span<float> out, float low, float high);
  void fill_uniform(std::span<double> out, double low, double high);
  void fill_normal(std::span<float> out, float mean, float stddev);
  void fill_normal(std::span<double> out, double mean, double stddev);
  /// Fisher–Yates.
  void shuffle(std::span<std::int64_t> values);

  std::uint64_t seed() const { return seed_; }
  std::uint64_t stream() const { return stream_; }
  std::uint64_t position() const { return position_; }
  void set_position(std::uint64_t position) { position_ = position; }
  /// An independent generator for a sub-purpose, e.g. one per layer or per sample.
  Random fork(std::uint64_t key) const;

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
};

/// A well-mixed 64-bit hash, to make stream numbers from small keys.
std::uint64_t mix64(std::uint64_t value);

}  // namespace evenkeel
