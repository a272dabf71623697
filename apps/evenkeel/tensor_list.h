// Files of tensors that are no network.
#pragma once

#include <filesystem>

namespace evenkeel::app {

/// Whether it is a file of .npy, .npz, torch.save or .safetensors without an evenkeel network in
/// it. Throws
/// IoError for a damaged .safetensors file.
bool holds_only_tensors(const std::filesystem::path& path);

/// Prints name, type, shape and range of each; returns the exit code.
int list_tensors(const std::filesystem::path& path, bool json);

}  // namespace evenkeel::app
