#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/permute.h>

namespace evenkeel::nn {
namespace {

OffsetMap map_of(const Shape& x, const std::vector<std::int64_t>& dims) {
  const std::vector<std::int64_t> strides = strides_of(x);
  std::vector<OffsetMap::Table> tables;
  for (const std::int64_t d : dims) {
    OffsetMap::Table table;
    for (std::int64_t i = 0; i < x[static_cast<int>(d)]; ++i) {
      table.push_back(i * strides[static_cast<std::size_t>(d)]);
    }
    tables.push_back(std::move(table));
  }
  return OffsetMap(std::move(tables));
}

}  // namespace

Permute::Permute(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {
  std::vector<bool> seen(dims_.size(), false);
  for (const std::int64_t d : dims_) {
    const bool known = d >= 0 && d < static_cast<std::int64_t>(dims_.size());
    if (!known || seen[static_cast<std::size_t>(d)]) {
      fail<UsageError>("[Permute] expected every dimension from 0 on once, got {}",
                       to_string(OptionValue(dims_)));
    }
    seen[static_cast<std::size_t>(d)] = true;
  }
}

Shape Permute::output_shape(const Shape& input) const {
  if (input.rank() != static_cast<int>(dims_.size())) {
    fail<ShapeError>("[{}] expected {} dimensions, got {}", label(), dims_.size(), input.str());
  }
  Shape result = input;
  for (std::size_t i = 0; i < dims_.size(); ++i) {
    result = result.with(static_cast<int>(i), input[static_cast<int>(dims_[i])]);
  }
  return result;
}

void Permute::move(const Tensor& x, Tensor& y) const {
  take_elements(map_of(x.shape(), dims_), x, 0, y);
}

void Permute::move_back(const Tensor& dy, Tensor& dx) const {
  std::vector<std::int64_t> inverse(dims_.size());
  for (std::size_t i = 0; i < dims_.size(); ++i) {
    inverse[static_cast<std::size_t>(dims_[i])] = static_cast<std::int64_t>(i);
  }
  take_elements(map_of(dy.shape(), inverse), dy, 0, dx);
}

LayerRow permute_row() {
  return {"Permute",
          "dimensions in another order: dims",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<Permute>(options.get("dims", std::vector<std::int64_t>{}));
          },
          {{{{"dims", std::vector<std::int64_t>{0, 2, 1}}}, {2, 3, 4}},
           {{{"dims", std::vector<std::int64_t>{0, 2, 3, 1}}}, {2, 3, 4, 2}}}};
}

}  // namespace evenkeel::nn
