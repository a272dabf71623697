// The shapes of the digits: what a hand draws, before any distortion.
#pragma once

#include <span>
#include <vector>

namespace evenkeel::data {

struct Point {
  double x = 0, y = 0;
};

/// A point the pen passes through. At a corner the curve stops being smooth.
struct Knot {
  double x, y;
  bool corner = false;
};

using Stroke = std::vector<Knot>;
using GlyphStyle = std::vector<Stroke>;

/// The ways in which digit 0..9 is written. Coordinates run from 0 to 100, y downwards, and the
/// digit fills the height.
std::span<const GlyphStyle> glyph_styles(int digit);

/// The curve through the knots (Catmull–Rom between corners), `steps` points per gap.
std::vector<Point> trace_stroke(const Stroke& stroke, int steps);

}  // namespace evenkeel::data
