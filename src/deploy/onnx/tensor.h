// Tensors of ONNX models.
#pragma once

#include <filesystem>

#include "deploy/onnx/model.h"

namespace evenkeel::deploy {

namespace proto {
class Tensor;
}

/// The tensor that the message describes, in an element type of ours; frees the message's own copy
/// of the data. `folder` is the model's, from which external data may come. Throws IoError.
Tensor take_tensor(proto::Tensor& message, const std::filesystem::path& folder,
                   const io::Origin& origin);

}  // namespace evenkeel::deploy
