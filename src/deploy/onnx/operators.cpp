// The operators that are read. docs/onnx.md lists them.

#include <algorithm>
#include <array>

#include "deploy/onnx/importer.h"

namespace evenkeel::deploy {
namespace {

constexpr std::array kOperators = {
    Operator{"Add", build_add},
    Operator{"AveragePool", build_average_pool},
    Operator{"BatchNormalization", build_batch_normalization},
    Operator{"Cast", build_cast},
    Operator{"Clip", build_clip},
    Operator{"Concat", build_concat},
    Operator{"Constant", nullptr},
    Operator{"ConstantOfShape", nullptr},
    Operator{"Conv", build_conv},
    Operator{"ConvTranspose", build_conv_transpose},
    Operator{"Div", build_div},
    Operator{"Dropout", build_dropout},
    Operator{"Equal", nullptr},
    Operator{"Erf", build_erf},
    Operator{"Expand", build_expand},
    Operator{"Flatten", build_flatten},
    Operator{"Floor", nullptr},
    Operator{"Gather", build_gather},
    Operator{"Gelu", build_gelu},
    Operator{"Gemm", build_gemm},
    Operator{"GlobalAveragePool", build_global_average_pool},
    Operator{"GlobalMaxPool", build_global_max_pool},
    Operator{"GroupNormalization", build_group_normalization},
    Operator{"Identity", build_identity},
    Operator{"InstanceNormalization", build_instance_normalization},
    Operator{"LayerNormalization", build_layer_normalization},
    Operator{"LeakyRelu", build_leaky_relu},
    Operator{"MatMul", build_matmul},
    Operator{"MaxPool", build_max_pool},
    Operator{"Mul", build_mul},
    Operator{"Neg", build_neg},
    Operator{"Pad", build_pad},
    Operator{"Pow", build_pow},
    Operator{"Range", nullptr},
    Operator{"Reciprocal", build_reciprocal},
    Operator{"ReduceMean", build_reduce_mean},
    Operator{"ReduceProd", nullptr},
    Operator{"Relu", build_relu},
    Operator{"Reshape", build_reshape},
    Operator{"Shape", build_shape},
    Operator{"Sigmoid", build_sigmoid},
    Operator{"Slice", build_slice},
    Operator{"Softmax", build_softmax},
    Operator{"Split", build_split},
    Operator{"Sqrt", build_sqrt},
    Operator{"Squeeze", build_squeeze},
    Operator{"Sub", build_sub},
    Operator{"Sum", build_sum},
    Operator{"Tanh", build_tanh},
    Operator{"Transpose", build_transpose},
    Operator{"Unsqueeze", build_unsqueeze},
    Operator{"Where", nullptr},
};

}  // namespace

const Operator* find_operator(std::string_view type) {
  const auto* const row = std::ranges::find(kOperators, type, &Operator::type);
  return row == kOperators.end() ? nullptr : row;
}

}  // namespace evenkeel::deploy
