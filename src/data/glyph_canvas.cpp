#include "data/glyph_canvas.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace evenkeel::data {
namespace {

/// First and one past the last pixel that [low, high] touches.
struct PixelRange {
  int begin, end;
};
PixelRange touched(double low, double high) {
  const double size = kGlyphSize;
  return {static_cast<int>(std::clamp(std::floor(low), 0.0, size)),
          static_cast<int>(std::clamp(std::ceil(high), 0.0, size))};
}

}  // namespace

void GlyphCanvas::draw(std::span<const Point> points, const Pen& pen) {
  const auto segments = static_cast<double>(points.size()) - 1.0;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const double along = (static_cast<double>(i) + 0.5) / segments;
    const double radius = pen.radius_begin + along * (pen.radius_end - pen.radius_begin);
    const double ink = pen.ink_begin + along * (pen.ink_end - pen.ink_begin);
    draw_segment(points[i], points[i + 1], radius, ink, pen.softness);
  }
}

void GlyphCanvas::draw_segment(Point from, Point to, double radius, double ink, double softness) {
  const double reach = radius + 0.5 * softness;
  const PixelRange columns =
      touched(std::min(from.x, to.x) - reach, std::max(from.x, to.x) + reach);
  const PixelRange rows = touched(std::min(from.y, to.y) - reach, std::max(from.y, to.y) + reach);
  const double dx = to.x - from.x;
  const double dy = to.y - from.y;
  const double inverse = 1.0 / std::max(dx * dx + dy * dy, 1e-12);
  for (int y = rows.begin; y < rows.end; ++y) {
    for (int x = columns.begin; x < columns.end; ++x) {
      const double px = x + 0.5 - from.x;
      const double py = y + 0.5 - from.y;
      const double t = std::clamp((px * dx + py * dy) * inverse, 0.0, 1.0);
      const double ex = px - t * dx;
      const double ey = py - t * dy;
      const double square = ex * ex + ey * ey;
      if (square >= reach * reach) continue;
      const double cover = std::clamp((reach - std::sqrt(square)) / softness, 0.0, 1.0);
      double& pixel = ink_[static_cast<std::size_t>(y * kGlyphSize + x)];
      pixel = std::max(pixel, cover * ink);
    }
  }
}

}  // namespace evenkeel::data
