#include "data/glyph_strokes.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace evenkeel::data {
namespace {

using Styles = std::vector<GlyphStyle>;

constexpr bool kCorner = true;

const Styles kZero{
    {{{50, 0}, {26, 12}, {17, 50}, {26, 88}, {50, 100}, {74, 88}, {83, 50}, {74, 12}, {50, 0}}},
    {{{62, 3}, {38, 8}, {26, 45}, {32, 88}, {52, 100}, {70, 80}, {75, 40}, {66, 10}, {48, 2}}},
    {{{50, 8}, {20, 22}, {10, 54}, {22, 86}, {50, 97}, {78, 86}, {90, 54}, {80, 22}, {50, 8}}},
    {{{58, 8},
      {40, 3},
      {24, 25},
      {20, 60},
      {34, 94},
      {60, 96},
      {78, 68},
      {78, 30},
      {62, 6},
      {44, 12}}},
};

const Styles kOne{
    {{{50, 0}, {50, 100}}},
    {{{32, 24}, {54, 0, kCorner}, {54, 100}}},
    {{{32, 22}, {52, 0, kCorner}, {52, 100}}, {{28, 100}, {76, 100}}},
    {{{60, 0}, {52, 50}, {42, 100}}},
};

const Styles kTwo{
    {{{22, 25},
      {32, 6},
      {52, 0},
      {74, 10},
      {78, 32},
      {62, 56},
      {38, 80},
      {18, 100, kCorner},
      {84, 100}}},
    {{{24, 22},
      {46, 1},
      {72, 12},
      {72, 38},
      {50, 68},
      {26, 95},
      {14, 90},
      {25, 79},
      {48, 90},
      {68, 99},
      {86, 90}}},
    {{{18, 18}, {40, 2}, {70, 4}, {80, 24}, {60, 55}, {16, 98, kCorner}, {50, 94}, {86, 98}}},
};

const Styles kThree{
    {{{22, 14},
      {44, 0},
      {72, 8},
      {74, 32},
      {44, 47, kCorner},
      {76, 60},
      {80, 84},
      {52, 100},
      {20, 88}}},
    {{{20, 2}, {76, 2, kCorner}, {46, 40, kCorner}, {74, 50}, {80, 76}, {56, 99}, {20, 90}}},
    {{{24, 18},
      {48, 0},
      {72, 16},
      {62, 40},
      {40, 48, kCorner},
      {70, 54},
      {78, 76},
      {60, 98},
      {32, 98},
      {18, 82}}},
};

const Styles kFour{
    {{{32, 0}, {18, 58, kCorner}, {86, 58}}, {{64, 26}, {62, 100}}},
    {{{62, 100}, {62, 0, kCorner}, {14, 68, kCorner}, {88, 68}}},
    {{{26, 4}, {22, 40}, {40, 54}, {72, 46}}, {{76, 2}, {68, 50}, {62, 100}}},
};

const Styles kFive{
    {{{78, 2},
      {30, 2, kCorner},
      {26, 44, kCorner},
      {54, 37},
      {80, 60},
      {72, 90},
      {46, 100},
      {18, 88}}},
    {{{32, 6}, {28, 46, kCorner}, {58, 40}, {78, 66}, {64, 96}, {34, 99}, {18, 90}},
     {{32, 5}, {82, 0}}},
    {{{80, 6},
      {54, 0},
      {30, 12},
      {28, 42, kCorner},
      {58, 40},
      {78, 68},
      {62, 96},
      {36, 100},
      {18, 88}}},
};

const Styles kSix{
    {{{70, 4}, {44, 16}, {24, 48}, {22, 80}, {46, 100}, {74, 88}, {74, 62}, {50, 50}, {26, 66}}},
    {{{56, 0}, {34, 34}, {22, 70}, {34, 96}, {60, 98}, {76, 78}, {62, 56}, {38, 58}, {24, 76}}},
    {{{76, 16},
      {58, 2},
      {34, 20},
      {20, 62},
      {34, 96},
      {62, 98},
      {78, 74},
      {58, 54},
      {30, 66},
      {23, 78}}},
};

const Styles kSeven{
    {{{16, 2}, {84, 2, kCorner}, {42, 100}}},
    {{{18, 6}, {50, 2}, {82, 4, kCorner}, {56, 46}, {44, 100}}},
    {{{16, 2}, {82, 2, kCorner}, {40, 100}}, {{30, 50}, {72, 48}}},
    {{{18, 20}, {18, 2, kCorner}, {82, 2, kCorner}, {52, 50}, {42, 100}}},
};

const Styles kEight{
    {{{72, 14},
      {50, 0},
      {26, 14},
      {34, 38},
      {62, 56},
      {78, 78},
      {52, 100},
      {22, 80},
      {38, 56},
      {66, 36},
      {72, 14}}},
    {{{50, 46}, {26, 36}, {26, 10}, {50, 0}, {74, 10}, {74, 36}, {50, 46}},
     {{50, 46}, {20, 60}, {20, 88}, {50, 100}, {80, 88}, {80, 60}, {50, 46}}},
    {{{50, 48},
      {28, 30},
      {34, 4},
      {66, 4},
      {72, 28},
      {50, 48},
      {25, 72},
      {32, 97},
      {66, 98},
      {76, 74},
      {50, 48}}},
};

const Styles kNine{
    {{{76, 26}, {60, 4}, {32, 6}, {22, 30}, {38, 50}, {64, 42}, {76, 24}, {74, 60}, {62, 100}}},
    {{{74, 26}, {52, 0}, {26, 14}, {28, 42}, {54, 50}, {74, 26, kCorner}, {72, 100}}},
    {{{74, 20}, {48, 2}, {24, 22}, {34, 48}, {62, 46}, {76, 20}, {76, 60}, {60, 96}, {28, 94}}},
};

/// Catmull–Rom between b and c; a and d are the neighbours.
Point between(const Knot& a, const Knot& b, const Knot& c, const Knot& d, double t) {
  const auto blend = [t](double p0, double p1, double p2, double p3) {
    const double cubic = 3.0 * (p1 - p2) + p3 - p0;
    const double square = 2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3;
    return p1 + 0.5 * t * (p2 - p0 + t * (square + t * cubic));
  };
  return {blend(a.x, b.x, c.x, d.x), blend(a.y, b.y, c.y, d.y)};
}

}  // namespace

std::span<const GlyphStyle> glyph_styles(int digit) {
  static const std::array<const Styles*, 10> kDigits{&kZero, &kOne, &kTwo,   &kThree, &kFour,
                                                     &kFive, &kSix, &kSeven, &kEight, &kNine};
  return *kDigits[static_cast<std::size_t>(digit)];
}

std::vector<Point> trace_stroke(const Stroke& stroke, int steps) {
  std::vector<Point> points;
  points.reserve(stroke.size() * static_cast<std::size_t>(steps) + 1);
  for (std::size_t i = 0; i + 1 < stroke.size(); ++i) {
    const Knot& from = stroke[i];
    const Knot& to = stroke[i + 1];
    // Beyond an end or a corner there is no neighbour: the end stands in for it.
    const Knot& before = i == 0 || from.corner ? from : stroke[i - 1];
    const Knot& after = i + 2 == stroke.size() || to.corner ? to : stroke[i + 2];
    for (int step = 0; step < steps; ++step) {
      points.push_back(between(before, from, to, after, static_cast<double>(step) / steps));
    }
  }
  if (!stroke.empty()) points.push_back({stroke.back().x, stroke.back().y});
  return points;
}

}  // namespace evenkeel::data
