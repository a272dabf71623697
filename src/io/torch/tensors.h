// The tensors of a PyTorch checkpoint, out of the storages that they are views of.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/torch/pickle.h"
#include "io/zip.h"
#include <evenkeel/core/tensor.h>

namespace evenkeel::io {

/// Reads each storage once, holds it for as long as another tensor needs it, and refuses what would
/// take more than a few times the bytes of the file.
class TorchTensors {
 public:
  /// `folder` is what the members' names begin with. All three must outlive it.
  TorchTensors(const InputFile& file, const std::vector<ZipEntry>& members, const Pickle& pickle,
               std::string_view folder);

  /// Says that read() will be called for it.
  void expect(Pickle::Id tensor);
  /// The tensor, contiguous; a second call gives the same memory. `origin` names it.
  Tensor read(Pickle::Id tensor, const Origin& origin);

  /// "3 tensors of f16 are held as f32", for each type that memory has no other of.
  std::vector<std::string> notes() const;

 private:
  struct View;
  struct Storage {
    const ZipEntry* member = nullptr;
    std::size_t users = 0;  // still to come
    std::vector<std::byte> bytes;
  };

  View plan(Pickle::Id tensor, const Origin& origin) const;
  Storage& open(const View& view, const Origin& origin);

  const InputFile& file_;
  const Pickle& pickle_;
  std::map<std::string_view, Storage> storages_;  // by key
  std::set<Pickle::Id> expected_;
  std::map<Pickle::Id, Tensor> done_;
  std::map<std::string_view, std::pair<DType, std::int64_t>> widened_;  // by type: to, how many
  std::uint64_t held_ = 0;                                              // bytes of all tensors
};

}  // namespace evenkeel::io
