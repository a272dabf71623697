// The header of .npy arrays: a Python dictionary in text form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/origin.h"

namespace evenkeel::io {

struct NpyHeader {
  std::string descr;  ///< such as "<f4"
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

/// Parses "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }" and refuses all else. Only
/// these three kinds of value are understood, so nothing in it can be evaluated.
NpyHeader parse_npy_header(std::string_view text, const Origin& origin);

/// The bytes before the data of a C-order array of `shape`, from the magic to the line break.
std::string make_npy_header(std::string_view descr, const Shape& shape);

}  // namespace evenkeel::io
