// Elements around a tensor.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/nn/layers/rearrangement.h>

namespace evenkeel::nn {

enum class PadMode : std::uint8_t {
  constant,  ///< the same value everywhere
  reflect,   ///< the elements behind the edge, without the edge itself
  edge       ///< the element at the edge
};

/// "constant", "reflect", "edge": as options spell them.
std::string_view name_of(PadMode mode);

/// Changing them later has no effect: the layer copies them.
struct PadOptions {
  PadMode mode = PadMode::constant;
  double value = 0;  ///< of constant
};

/// x [d0, d1, …] → y with before[i] elements in front of dimension i and after[i] behind it; a
/// negative number takes so many away. Any rank that has as many dimensions, f32, f64 or bf16.
class Pad : public Cloneable<Pad, Rearrangement> {
 public:
  /// Throws UsageError unless there is one number of each per dimension.
  Pad(std::vector<std::int64_t> before, std::vector<std::int64_t> after, PadOptions options = {});

  std::string_view type() const override { return "Pad"; }
  Options options() const override;
  /// Throws ShapeError for another rank, and where nothing would be left or a reflection is wider
  /// than what is reflected.
  Shape output_shape(const Shape& input) const override;

  const std::vector<std::int64_t>& before() const { return before_; }
  const std::vector<std::int64_t>& after() const { return after_; }
  const PadOptions& settings() const { return options_; }

 protected:
  void move(const Tensor& x, Tensor& y) const override;
  void move_back(const Tensor& dy, Tensor& dx) const override;

 private:
  std::vector<std::int64_t> before_, after_;
  PadOptions options_;
};

}  // namespace evenkeel::nn
