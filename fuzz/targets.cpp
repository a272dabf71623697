#include <algorithm>
#include <array>

#include "readers/readers.h"
#include "target.h"

namespace evenkeel::fuzz {

std::span<const Target> targets() {
  static const std::array kTargets = {
      safetensors_target(), npy_target(),     npz_target(),  torch_target(),     idx_target(),
      gzip_target(),        cifar10_target(), csv_target(),  sequences_target(), image_target(),
      config_target(),      run_target(),     onnx_target(),
  };
  return kTargets;
}

const Target* find_target(std::string_view reader) {
  const auto found = std::ranges::find(targets(), reader, &Target::reader);
  return found == targets().end() ? nullptr : &*found;
}

}  // namespace evenkeel::fuzz
