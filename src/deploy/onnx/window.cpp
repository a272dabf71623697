// Kernels, strides and pads of convolutions and pools.

#include <algorithm>

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layers/conv.h>

namespace evenkeel::deploy {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 30;

void check(const Importer& importer, std::string_view what, const std::vector<std::int64_t>& list,
           std::size_t count, std::int64_t least) {
  if (list.size() != count) {
    importer.refuse("expected {} {}, got {}", count, what, list.size());
  }
  for (const std::int64_t value : list) {
    if (value < least || value > kLargest) importer.refuse("its {} hold {}", what, value);
  }
}

}  // namespace

Window window_of(const Importer& importer, const Shape& input, std::vector<std::int64_t> kernel) {
  const auto spatial = static_cast<std::size_t>(std::max(input.rank() - 2, 0));
  if (spatial < 1 || spatial > ops::kMostSpatial) {
    importer.refuse("inputs of shape {} are not supported; expected one to {} spatial dimensions",
                    input.str(), ops::kMostSpatial);
  }
  const Shape extents = input.drop(2);
  for (const std::int64_t extent : extents.dims()) {
    if (extent > kLargest) importer.refuse("an input {} is too large", input.str());
  }
  const std::vector<std::int64_t> ones(spatial, 1);
  Window window;
  window.kernel = importer.attribute("kernel_shape", kernel);
  window.stride = importer.attribute("strides", ones);
  window.dilation = importer.attribute("dilations", ones);
  check(importer, "extents of the kernel", window.kernel, spatial, 1);
  check(importer, "strides", window.stride, spatial, 1);
  check(importer, "dilations", window.dilation, spatial, 1);
  if (!kernel.empty() && window.kernel != kernel) {
    importer.refuse("its kernel_shape is not that of its weight");
  }
  const std::string automatic = importer.attribute("auto_pad", std::string("NOTSET"));
  std::vector<std::int64_t> pads =
      importer.attribute("pads", std::vector<std::int64_t>(2 * spatial, 0));
  if (automatic == "VALID") pads.assign(2 * spatial, 0);
  check(importer, "pads", pads, 2 * spatial, 0);
  const auto half = static_cast<std::ptrdiff_t>(spatial);
  window.before.assign(pads.begin(), pads.begin() + half);
  window.after.assign(pads.begin() + half, pads.end());
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    for (std::size_t i = 0; i < spatial; ++i) {
      const std::int64_t extent = input[2 + static_cast<int>(i)];
      const std::int64_t outputs = (extent + window.stride[i] - 1) / window.stride[i];
      const std::int64_t total =
          std::max<std::int64_t>((outputs - 1) * window.stride[i] +
                                     window.dilation[i] * (window.kernel[i] - 1) + 1 - extent,
                                 0);
      const bool upper = automatic == "SAME_UPPER";
      window.before[i] = upper ? total / 2 : total - total / 2;
      window.after[i] = total - window.before[i];
    }
  } else if (automatic != "NOTSET" && automatic != "VALID") {
    importer.refuse("its auto_pad {} is not known", io::quote(automatic));
  }
  return window;
}

OptionValue size_option(const std::vector<std::int64_t>& sizes) {
  const bool same = std::ranges::count(sizes, sizes[0]) == std::ssize(sizes);
  return same ? OptionValue(sizes[0]) : OptionValue(sizes);
}

std::vector<std::int64_t> for_all(const std::vector<std::int64_t>& spatial) {
  std::vector<std::int64_t> all{0, 0};
  all.insert(all.end(), spatial.begin(), spatial.end());
  return all;
}

}  // namespace evenkeel::deploy
