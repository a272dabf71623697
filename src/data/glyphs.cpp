#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "data/glyph_canvas.h"
#include "data/glyph_strokes.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/glyphs.h>

// The bytes are promised for good, so nothing here may depend on the machine: only + − × ÷ and √ of
// doubles, which IEEE 754 rounds exactly, and no sine, logarithm or exponential of a library.

namespace evenkeel::data {
namespace {

constexpr std::uint64_t kStream = 0x676c79706873;  // "glyphs"
constexpr int kCurveSteps = 5;

// How much hands differ. Lengths are in pixels, knots in hundredths of the digit's height.
constexpr double kKnotJitter = 4.0;
constexpr double kHeightLow = 15.0, kHeightHigh = 21.0;
constexpr double kWidthLow = 0.70, kWidthHigh = 1.15;  // relative to the height
constexpr double kHalfAngle = 0.13;                    // tangent of half the largest rotation
constexpr double kShear = 0.35;
constexpr double kShift = 2.0;
constexpr double kWarp = 1.3;
constexpr double kRadiusLow = 0.7, kRadiusHigh = 1.7;
constexpr double kSoftnessLow = 0.8, kSoftnessHigh = 1.8;
constexpr double kInkLow = 0.55;
constexpr double kPaperHigh = 0.20;
constexpr double kNoiseHigh = 0.10;
constexpr int kScratches = 2;

/// About normal with variance 1: a sum of twelve uniforms less its mean, within ±6.
double bell(Random& random) {
  double sum = -6.0;
  for (int i = 0; i < 3; ++i) {
    for (const std::uint32_t bits : random.block(random.position())) {
      sum += (static_cast<double>(bits) + 0.5) * 0x1.0p-32;
    }
    random.set_position(random.position() + 1);
  }
  return sum;
}

/// A smooth displacement of the sheet: a grid of random vectors under a quadratic B-spline.
class Warp {
 public:
  Warp(Random& random, double strength) {
    for (Point& node : nodes_) node = {strength * bell(random), strength * bell(random)};
  }
  Point operator()(Point p) const {
    const Weights wx = weights(p.x);
    const Weights wy = weights(p.y);
    Point moved = p;
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 3; ++i) {
        const double weight = wx.value[i] * wy.value[j];
        const Point& node =
            nodes_[static_cast<std::size_t>((wy.first + j) * kNodes + wx.first + i)];
        moved.x += weight * node.x;
        moved.y += weight * node.y;
      }
    }
    return moved;
  }

 private:
  static constexpr int kNodes = 6;
  struct Weights {
    int first;
    double value[3];
  };
  static Weights weights(double position) {
    constexpr double kCells = kNodes - 2;
    const double u = std::clamp(position / kGlyphSize, 0.0, 0.9999) * kCells;
    const int cell = static_cast<int>(u);
    const double t = u - cell;
    return {cell, {0.5 * (1 - t) * (1 - t), 0.5 + t * (1 - t), 0.5 * t * t}};
  }
  std::array<Point, kNodes * kNodes> nodes_;
};

/// From the digit's own coordinates to the sheet: scale, shear, rotation, shift.
struct Placement {
  double xx, xy, yx, yy, x0, y0;

  explicit Placement(Random& random) {
    const double height = random.uniform(kHeightLow, kHeightHigh);
    const double width = height * random.uniform(kWidthLow, kWidthHigh);
    const double shear = random.uniform(-kShear, kShear);
    // Cosine and sine from the tangent of the half angle, without a library.
    const double h = random.uniform(-kHalfAngle, kHalfAngle);
    const double cosine = (1 - h * h) / (1 + h * h);
    const double sine = 2 * h / (1 + h * h);
    const double sx = width / 100;
    const double sy = height / 100;
    xx = cosine * sx;
    xy = (-cosine * shear - sine) * sy;
    yx = sine * sx;
    yy = (-sine * shear + cosine) * sy;
    x0 = 0.5 * kGlyphSize + random.uniform(-kShift, kShift);
    y0 = 0.5 * kGlyphSize + random.uniform(-kShift, kShift);
  }
  Point operator()(Point p) const {
    const double x = p.x - 50;
    const double y = p.y - 50;
    return {x0 + xx * x + xy * y, y0 + yx * x + yy * y};
  }
};

GlyphCanvas::Pen pick_pen(Random& random) {
  GlyphCanvas::Pen pen;
  const double radius = random.uniform(kRadiusLow, kRadiusHigh);
  pen.radius_begin = radius * random.uniform(0.8, 1.2);
  pen.radius_end = radius * random.uniform(0.8, 1.2);
  pen.ink_begin = random.uniform(kInkLow, 1.0);
  pen.ink_end = random.uniform(kInkLow, 1.0);
  pen.softness = random.uniform(kSoftnessLow, kSoftnessHigh);
  return pen;
}

void draw_digit(GlyphCanvas& canvas, int digit, Random& random) {
  const auto styles = glyph_styles(digit);
  GlyphStyle style = styles[random.below(styles.size())];
  const Placement place(random);
  const Warp warp(random, kWarp);
  const GlyphCanvas::Pen pen = pick_pen(random);
  for (Stroke& stroke : style) {
    for (Knot& knot : stroke) {
      knot.x += kKnotJitter * bell(random);
      knot.y += kKnotJitter * bell(random);
    }
    std::vector<Point> line = trace_stroke(stroke, kCurveSteps);
    for (Point& point : line) point = warp(place(point));
    canvas.draw(line, pen);
  }
}

/// Short marks anywhere on the sheet that belong to no digit.
void draw_scratches(GlyphCanvas& canvas, Random& random) {
  const auto count = random.below(kScratches + 1);
  for (std::uint64_t i = 0; i < count; ++i) {
    const Point from{random.uniform(0, kGlyphSize), random.uniform(0, kGlyphSize)};
    const Point to{from.x + random.uniform(-5, 5), from.y + random.uniform(-5, 5)};
    GlyphCanvas::Pen pen;
    pen.radius_begin = pen.radius_end = random.uniform(0.4, 0.8);
    pen.ink_begin = pen.ink_end = random.uniform(0.2, 0.6);
    canvas.draw(std::array{from, to}, pen);
  }
}

/// Ink over paper, with grain: four pixels from each counter, each the sum of four bytes, which is
/// close to normal.
void develop(const GlyphCanvas& canvas, Random& random, std::uint8_t* image) {
  constexpr double kBytesMean = 4 * 127.5;
  constexpr double kBytesDeviation = 147.8;
  const double paper = random.uniform(0, kPaperHigh);
  const double noise = random.uniform(0, kNoiseHigh) / kBytesDeviation;
  for (int y = 0; y < kGlyphSize; ++y) {
    for (int x = 0; x < kGlyphSize; x += 4) {
      const auto bits = random.block(random.position());
      random.set_position(random.position() + 1);
      for (int k = 0; k < 4; ++k) {
        const std::uint32_t b = bits[static_cast<std::size_t>(k)];
        const std::uint32_t sum = (b & 255u) + (b >> 8 & 255u) + (b >> 16 & 255u) + (b >> 24);
        const double grain = noise * (static_cast<double>(sum) - kBytesMean);
        const double value = paper + (1 - paper) * canvas.ink(x + k, y) + grain;
        image[y * kGlyphSize + x + k] =
            static_cast<std::uint8_t>(std::floor(std::clamp(value, 0.0, 1.0) * 255.0 + 0.5));
      }
    }
  }
}

/// Draws sample `index` and returns its digit.
int make_glyph(std::uint64_t seed, std::int64_t index, std::uint8_t* image) {
  Random random = Random(seed, kStream).fork(static_cast<std::uint64_t>(index));
  const int digit = static_cast<int>(random.below(10));
  GlyphCanvas canvas;
  draw_digit(canvas, digit, random);
  draw_scratches(canvas, random);
  develop(canvas, random, image);
  return digit;
}

}  // namespace

Dataset make_glyphs(std::int64_t count, std::uint64_t seed) {
  if (count < 0) fail<UsageError>("[glyphs] expected a count of at least 0, got {}", count);
  constexpr std::int64_t kPixels = kGlyphSize * kGlyphSize;
  Dataset result;
  result.samples = Tensor::empty({count, 1, kGlyphSize, kGlyphSize}, DType::u8);
  result.labels.resize(static_cast<std::size_t>(count));
  result.classes = 10;
  for (int digit = 0; digit < 10; ++digit) result.class_names.push_back(std::to_string(digit));
  auto* images = result.samples.data<std::uint8_t>();
  auto* labels = result.labels.data();
  parallel_for(count, 32 * kPixels,
               [&](std::int64_t i) { labels[i] = make_glyph(seed, i, images + i * kPixels); });
  return result;
}

}  // namespace evenkeel::data
