// PyTorch's checkpoints, as torch.save writes them: read, and nothing in them executed.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <evenkeel/core/tensor.h>

namespace evenkeel::io {

/// The tensors of one dict (or list) in a checkpoint, and where it stands there: "" for the
/// outermost, "state_dict", "optimizer.state.0".
struct TensorDict {
  std::string path;
  std::vector<std::pair<std::string, Tensor>> tensors;  ///< in the file's order
};

struct TorchCheckpoint {
  std::vector<TensorDict> dicts;   ///< those that hold tensors, the outer before the inner
  std::vector<std::string> notes;  ///< what was converted or left out
};

/// Reads the zip file of torch.save (PyTorch 1.6 and later) with tensors in dicts and lists,
/// however nested; numbers, texts and the like beside them are passed over. Tensors may be views of
/// shared storage with any strides; each becomes a contiguous one. f32, f64, bf16, i64, i32 and u8
/// keep their type; f16 becomes f32, i16 and i8 become i32, bool becomes u8.
///
/// The pickle inside is read by a machine that knows containers, numbers, texts and tensors.
/// Whatever else a file names (a class, a function) is refused by name: nothing is ever called.
/// What is read takes at most four times the bytes of the file. Throws IoError naming the file, the
/// part and the fault; also for a file of the old format, a TorchScript model and a whole pickled
/// model.
TorchCheckpoint read_torch_checkpoint(const std::filesystem::path& path);

/// Whether the name is one of those that are usual for such files: .pt, .pth, .bin, .ckpt.
bool is_torch_checkpoint(const std::filesystem::path& path);

}  // namespace evenkeel::io
