// Noise that moves the distribution of every unit from step to step, to put back behind a batch
// norm what it has taken away.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::lab {

/// Changing them after construction has no effect. The defaults are of the size that Santurkar et
/// al. took (2018, appendix A).
struct ShiftNoiseOptions {
  double shift = 0.5;   ///< of a unit and step: its shift lies between −shift and shift
  double scale = 1.25;  ///< and its factor between 1 and this
  double jitter = 0.1;  ///< of a sample around both of them, either way
};

/// In training y = a·x + b with a and b drawn anew in every forward: for each channel around a
/// centre of its own, which changes from step to step, and for each sample apart. In eval mode y =
/// x times the mean factor. Gradients treat a and b as constants. x [N, C, spatial...], f32, either
/// layout; the numbers depend on the place of the stream, a buffer, and not on threads.
class ShiftNoise : public nn::Cloneable<ShiftNoise> {
 public:
  explicit ShiftNoise(ShiftNoiseOptions options = {});

  std::string_view type() const override { return "ShiftNoise"; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// A new stream made from `random`'s.
  void reset_parameters(Random& random) override;

 private:
  /// One factor and one shift for each sample and channel, [N·C].
  struct Draw {
    std::vector<float> factors, shifts;
  };
  struct Saved {
    Shape shape;
    std::vector<float> factors;
  };

  nn::SavedBase* own_saved() override { return &saved_; }
  Draw draw(const Shape& shape);

  ShiftNoiseOptions options_;
  nn::SavedStack<Saved> saved_;
};

}  // namespace evenkeel::lab
