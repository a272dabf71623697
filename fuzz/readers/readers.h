// One function per file of this folder.
#pragma once

#include "target.h"

namespace evenkeel::fuzz {

Target safetensors_target();
Target npy_target();
Target npz_target();
Target torch_target();
Target idx_target();
Target gzip_target();
Target cifar10_target();
Target csv_target();
Target sequences_target();
Target image_target();
Target config_target();
Target run_target();
Target onnx_target();

}  // namespace evenkeel::fuzz
