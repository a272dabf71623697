// The IDX format of MNIST and the CIFAR-10 binary format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <evenkeel/core/tensor.h>

namespace evenkeel::io {

/// An IDX file of unsigned bytes, plain or gzip, of any rank. IoError names the file and the fault.
Tensor read_idx(const std::filesystem::path& path);

struct Cifar {
  Tensor images;                     ///< u8 [N, 3, 32, 32]
  std::vector<std::int32_t> labels;  ///< 0..9
};
/// One batch file of 3073-byte records. IoError for a size that is no multiple or a label above 9.
Cifar read_cifar10(const std::filesystem::path& path);

}  // namespace evenkeel::io
