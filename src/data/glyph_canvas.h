// A grey sheet and a round pen.
#pragma once

#include <array>
#include <span>

#include "data/glyph_strokes.h"

namespace evenkeel::data {

inline constexpr int kGlyphSize = 28;

/// Ink on a square sheet, 0 (bare) to 1 (full). Coordinates are in pixels; pixel (x, y) has its
/// centre at (x + ½, y + ½).
class GlyphCanvas {
 public:
  /// Draws the line through `points`. The pen's radius and pressure run linearly from the first to
  /// the last value along the line; `softness` is the width in pixels over which its edge fades.
  /// Where strokes cross, the stronger ink stays.
  struct Pen {
    double radius_begin = 1.2, radius_end = 1.2;
    double ink_begin = 1.0, ink_end = 1.0;
    double softness = 1.0;
  };
  void draw(std::span<const Point> points, const Pen& pen);

  double ink(int x, int y) const { return ink_[static_cast<std::size_t>(y * kGlyphSize + x)]; }

 private:
  void draw_segment(Point from, Point to, double radius, double ink, double softness);

  std::array<double, kGlyphSize * kGlyphSize> ink_{};
};

}  // namespace evenkeel::data
