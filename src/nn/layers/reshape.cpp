#include <algorithm>

#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/reshape.h>

namespace evenkeel::nn {

Reshape::Reshape(std::vector<std::int64_t> shape, bool copies)
    : shape_(std::move(shape)), copies_(copies) {
  if (shape_.size() > Shape::kMaxRank || std::ranges::count(shape_, -1) > 1 ||
      std::ranges::any_of(shape_, [](std::int64_t d) { return d < -1; })) {
    fail<UsageError>("[Reshape] expected at most {} extents from 0 on, and one -1, got {}",
                     Shape::kMaxRank, to_string(OptionValue(shape_)));
  }
}

Shape Reshape::output_shape(const Shape& input) const {
  std::vector<std::int64_t> dims = shape_;
  Shape rest_of = input;  // without an empty batch, which says nothing of the other extents
  bool fits = true;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] != 0 || !copies_) continue;
    fits = fits && static_cast<int>(i) < input.rank();
    if (fits) dims[i] = input[static_cast<int>(i)];
    if (fits && dims[i] == 0) rest_of = rest_of.with(static_cast<int>(i), 1);
  }
  const auto rest = std::ranges::find(dims, -1);
  if (fits && rest != dims.end()) {
    std::int64_t others = 1;
    for (std::size_t i = 0; i < dims.size(); ++i) {
      const bool empty = copies_ && shape_[i] == 0 && dims[i] == 0;
      if (dims[i] != -1 && !empty && __builtin_mul_overflow(others, dims[i], &others)) fits = false;
    }
    fits = fits && others != 0 && rest_of.numel() % others == 0;
    if (fits) *rest = rest_of.numel() / others;
  }
  if (fits) {
    const Shape result{std::span<const std::int64_t>(dims)};
    if (result.numel() == input.numel()) return result;
  }
  fail<ShapeError>("[{}] the elements of {} do not fit the shape {}", label(), input.str(),
                   to_string(OptionValue(shape_)));
}

LayerRow reshape_row() {
  return {"Reshape",
          "the same elements in another shape: shape (0: as before, -1: the rest), copies",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<Reshape>(options.get("shape", std::vector<std::int64_t>{-1}),
                                             options.get("copies", true));
          },
          {{{{"shape", std::vector<std::int64_t>{0, 2, -1}}}, {3, 2, 2, 3}},
           {{{"shape", std::vector<std::int64_t>{-1, 2}}, {"copies", false}}, {2, 3, 4}}}};
}

}  // namespace evenkeel::nn
