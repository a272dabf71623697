// Pools.

#include <algorithm>
#include <limits>

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/elementwise.h>
#include <evenkeel/nn/layers/pad.h>
#include <evenkeel/nn/layers/pool.h>

namespace evenkeel::deploy {
namespace {

constexpr std::int64_t kLargestMap = std::int64_t{1} << 22;  // positions of an average's divisors

/// With ceil_mode the last window may reach beyond the pads, but must begin before them, as in
/// PyTorch; by how much, for each dimension.
std::vector<std::int64_t> overhang(const Importer& importer, const Shape& input,
                                   const Window& window) {
  std::vector<std::int64_t> over(window.kernel.size(), 0);
  if (importer.attribute("ceil_mode", std::int64_t{0}) == 0) return over;
  for (std::size_t i = 0; i < over.size(); ++i) {
    const std::int64_t extent = input[2 + static_cast<int>(i)];
    const std::int64_t room = extent + window.before[i] + window.after[i] - window.kernel[i];
    if (room < 0) continue;  // the layer refuses it
    std::int64_t outputs = (room + window.stride[i] - 1) / window.stride[i] + 1;
    if ((outputs - 1) * window.stride[i] >= extent + window.before[i]) --outputs;
    over[i] = std::max<std::int64_t>((outputs - 1) * window.stride[i] - room, 0);
  }
  return over;
}

std::vector<std::int64_t> sum(const std::vector<std::int64_t>& a,
                              const std::vector<std::int64_t>& b) {
  std::vector<std::int64_t> result = a;
  for (std::size_t i = 0; i < b.size(); ++i) result[i] += b[i];
  return result;
}

/// Pads that the pooling layers do themselves.
bool simple(const Window& window, const std::vector<std::int64_t>& over) {
  for (std::size_t i = 0; i < over.size(); ++i) {
    if (over[i] != 0 || window.before[i] != window.after[i] ||
        2 * window.before[i] > window.kernel[i]) {
      return false;
    }
  }
  return true;
}

Window checked_window(const Importer& importer) {
  if (!importer.has_attribute("kernel_shape")) importer.refuse("it has no kernel_shape");
  Window window = window_of(importer, importer.input(0).shapes[0], {});
  for (std::size_t i = 0; i < window.kernel.size(); ++i) {
    if (window.dilation[i] != 1) importer.refuse("dilations are not supported");
    if (std::max(window.before[i], window.after[i]) >= window.kernel[i]) {
      importer.refuse("its pads are as wide as its kernel");
    }
  }
  if (importer.attribute("storage_order", std::int64_t{0}) != 0 || importer.output_used(1)) {
    importer.refuse("the positions of maxima, its second output, are not supported");
  }
  return window;
}

/// The windows' size over the number of values that count in each: one factor per position.
Tensor divisors(const Importer& importer, const Shape& input, const Shape& output,
                const Window& window, bool pads_count) {
  std::int64_t size = 1;
  std::vector<std::vector<std::int64_t>> counts;
  for (std::size_t i = 0; i < window.kernel.size(); ++i) {
    const int d = 2 + static_cast<int>(i);
    size *= window.kernel[i];
    const std::int64_t low = pads_count ? -window.before[i] : 0;
    const std::int64_t high = input[d] + (pads_count ? window.after[i] : 0);
    std::vector<std::int64_t> line;
    for (std::int64_t o = 0; o < output[d]; ++o) {
      const std::int64_t begin = o * window.stride[i] - window.before[i];
      line.push_back(std::min(begin + window.kernel[i], high) - std::max(begin, low));
    }
    counts.push_back(std::move(line));
  }
  const Shape positions = output.drop(2);
  if (positions.numel() > kLargestMap) importer.refuse("{} is too large", output.str());
  Tensor factors = Tensor::empty(positions, DType::f64);
  for (std::int64_t i = 0; i < factors.numel(); ++i) {
    std::int64_t count = 1, rest = i;
    for (std::size_t d = counts.size(); d-- > 0;) {
      const auto extent = std::ssize(counts[d]);
      count *= counts[d][static_cast<std::size_t>(rest % extent)];
      rest /= extent;
    }
    factors.data<double>()[i] = static_cast<double>(size) / static_cast<double>(count);
  }
  return factors;
}

std::unique_ptr<nn::Module> pool_layer(std::string_view type, const Window& window,
                                       Options more = {}) {
  more.set("kernel_size", size_option(window.kernel));
  more.set("stride", size_option(window.stride));
  more.set("padding", size_option(window.before));
  return nn::make_layer(fmt::format("{}{}d", type, window.kernel.size()), more);
}

}  // namespace

void build_max_pool(Importer& importer) {
  Value x = importer.input(0);
  Window window = checked_window(importer);
  const auto over = overhang(importer, x.shapes[0], window);
  if (!simple(window, over)) {
    constexpr double kNever = -std::numeric_limits<double>::infinity();
    x = importer.apply(
        nn::Pad(for_all(window.before), for_all(sum(window.after, over)), {.value = kNever}), x,
        "pad");
    std::ranges::fill(window.before, 0);
  }
  importer.set_output(0, importer.apply(pool_layer("MaxPool", window), x));
}

void build_average_pool(Importer& importer) {
  Value x = importer.input(0);
  const Shape input = x.shapes[0];
  const Window given = checked_window(importer);
  const bool pads_count = importer.attribute("count_include_pad", std::int64_t{0}) != 0;
  const auto over = overhang(importer, input, given);
  const bool plain = simple(given, over);
  Window window = given;
  if (!plain) {
    x = importer.apply(nn::Pad(for_all(window.before), for_all(sum(window.after, over))), x, "pad");
    std::ranges::fill(window.before, 0);
  }
  const bool layer_counts = plain ? pads_count : true;
  Value y = importer.apply(pool_layer("AvgPool", window, {{"count_include_pad", layer_counts}}), x);
  const bool hangs_over = std::ranges::any_of(over, [](std::int64_t n) { return n != 0; });
  if (!plain && (!pads_count || hangs_over)) {
    const Tensor factors = divisors(importer, input, y.shapes[0], given, pads_count);
    nn::Scale scale(factors.shape(), {.learned = false});
    scale.load_state_dict({{"weight", factors}});
    y = importer.apply(std::move(scale), y, "divisor");
  }
  importer.set_output(0, std::move(y));
}

void build_global_average_pool(Importer& importer) {
  const Value& x = importer.input(0);
  const Value y = importer.apply(nn::GlobalAvgPool(), x);
  importer.set_output(0, importer.reshaped(y, Importer::shapes_of([&](std::size_t i) {
                                             Shape shape = x.shapes[i];
                                             for (int d = 2; d < shape.rank(); ++d)
                                               shape = shape.with(d, 1);
                                             return shape;
                                           })));
}

void build_global_max_pool(Importer& importer) {
  const Value& x = importer.input(0);
  const Shape& shape = x.shapes[0];
  if (shape.rank() < 3 || shape.rank() > 2 + ops::kMostSpatial) {
    importer.refuse("inputs of shape {} are not supported", shape.str());
  }
  const Shape extents = shape.drop(2);
  Window window;
  window.kernel.assign(extents.dims().begin(), extents.dims().end());
  window.stride = window.kernel;
  window.before.assign(window.kernel.size(), 0);
  importer.set_output(0, importer.apply(pool_layer("MaxPool", window), x));
}

}  // namespace evenkeel::deploy
