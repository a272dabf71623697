// NumPy's .npy arrays and .npz archives of them.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <evenkeel/core/tensor.h>

namespace evenkeel::io {

/// Reads f4, f8, i8, i4, u1 (and bool, i1, i2, u2, u4, f2 widened), C or Fortran order, either byte
/// order, format versions 1 to 3. Object arrays are refused without being looked into. IoError
/// names the file and the fault.
Tensor read_npy(const std::filesystem::path& path);
/// Writes atomically, in C order and channels first; bf16, which NumPy lacks, as f32.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

/// Arrays by name (without ".npy"); stored or deflated members.
std::map<std::string, Tensor> read_npz(const std::filesystem::path& path);
void write_npz(const std::filesystem::path& path, const std::map<std::string, Tensor>& arrays);

}  // namespace evenkeel::io
