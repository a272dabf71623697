// What operators make of shapes.

#include <algorithm>

#include "deploy/onnx/importer.h"

namespace evenkeel::deploy {

Shape broadcast_shape(const Importer& importer, const Shape& a, const Shape& b) {
  const Shape &longer = a.rank() >= b.rank() ? a : b, &shorter = a.rank() >= b.rank() ? b : a;
  const int missing = longer.rank() - shorter.rank();
  Shape result = longer;
  for (int d = 0; d < shorter.rank(); ++d) {
    const std::int64_t one = longer[missing + d], other = shorter[d];
    if (one != other && one != 1 && other != 1) {
      importer.refuse("shapes {} and {} do not fit", a.str(), b.str());
    }
    if (one == 1) result = result.with(missing + d, other);
  }
  return result;
}

Shape reshape_target(const Importer& importer, const Shape& input,
                     const std::vector<std::int64_t>& target, bool allow_zero) {
  std::vector<std::int64_t> dims = target;
  std::int64_t known = 1;
  std::optional<std::size_t> rest;
  const auto fail = [&] {
    importer.refuse("the elements of {} do not fit the shape {}", input.str(),
                    to_string(OptionValue(target)));
  };
  if (dims.size() > Shape::kMaxRank) fail();
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) {
      if (static_cast<int>(i) >= input.rank()) fail();
      dims[i] = input[static_cast<int>(i)];
    }
    if (dims[i] == -1 && !rest) {
      rest = i;
      dims[i] = 1;
    }
    if (dims[i] < 0 || __builtin_mul_overflow(known, dims[i], &known)) fail();
  }
  if (rest) {
    if (known == 0 || input.numel() % known != 0) fail();
    dims[*rest] = input.numel() / known;
  }
  const Shape result{std::span<const std::int64_t>(dims)};
  if (result.numel() != input.numel()) fail();
  return result;
}

Shape squeezed(const Importer& importer, const Shape& input,
               const std::optional<std::vector<std::int64_t>>& axes) {
  std::vector<bool> gone(static_cast<std::size_t>(input.rank()), false);
  if (axes) {
    for (const std::int64_t axis : *axes) {
      const std::int64_t d = importer.dimension(axis, input.rank());
      if (input[static_cast<int>(d)] != 1) {
        importer.refuse("dimension {} of {} has more than one element", d, input.str());
      }
      gone[static_cast<std::size_t>(d)] = true;
    }
  }
  std::vector<std::int64_t> dims;
  for (int d = 0; d < input.rank(); ++d) {
    const bool out = axes ? gone[static_cast<std::size_t>(d)] : input[d] == 1;
    if (!out) dims.push_back(input[d]);
  }
  return Shape(std::span<const std::int64_t>(dims));
}

Shape unsqueezed(const Importer& importer, const Shape& input,
                 const std::vector<std::int64_t>& axes) {
  const std::size_t count = static_cast<std::size_t>(input.rank()) + axes.size();
  if (count > Shape::kMaxRank) importer.refuse("it would make {} dimensions", count);
  std::vector<bool> fresh(count, false);
  for (const std::int64_t axis : axes) {
    const auto d =
        static_cast<std::size_t>(importer.dimension(axis, static_cast<int>(fresh.size())));
    if (fresh[d]) importer.refuse("its axis {} is there twice", axis);
    fresh[d] = true;
  }
  std::vector<std::int64_t> dims;
  int next = 0;
  for (const bool one : fresh) dims.push_back(one ? 1 : input[next++]);
  return Shape(std::span<const std::int64_t>(dims));
}

Tensor shape_tensor(const Importer& importer, const Shape& shape) {
  const auto rank = static_cast<std::int64_t>(shape.rank());
  const auto at = [&](const char* name, std::int64_t fallback) {
    const std::int64_t given = importer.attribute(name, fallback);
    return std::clamp<std::int64_t>(given < 0 ? given + rank : given, 0, rank);
  };
  const std::int64_t start = at("start", 0), end = std::max(at("end", rank), start);
  const auto part =
      shape.dims().subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start));
  return Tensor::from(part, {end - start});
}

std::optional<std::vector<std::int64_t>> axes_of(const Importer& importer) {
  if (importer.has_attribute("axes")) {
    return importer.attribute("axes", std::vector<std::int64_t>{});
  }
  if (importer.has(1)) return importer.integers(1, "axes");
  return std::nullopt;
}

}  // namespace evenkeel::deploy
