// .npy arrays from and to anything that holds bytes.
#pragma once

#include <string>

#include "io/source.h"

namespace evenkeel::io {

/// Reads one array that takes the whole of the source.
Tensor read_npy_from(Source& source, const Origin& origin);

/// The header for `tensor`, whose elements in C order follow it. The tensor must be channels first
/// and of a dtype that NumPy has.
std::string npy_header_of(const Tensor& tensor);
/// The tensor as NumPy can hold it: channels first, and bf16 widened to f32.
Tensor npy_storable(const Tensor& tensor, const Origin& origin);

}  // namespace evenkeel::io
