#include "model/zoo/zoo.h"

namespace evenkeel::model {

const std::vector<ZooRow>& zoo() {
  static const std::vector<ZooRow> table = {
      {{"mlp", "two hidden layers of 256 and 128 ReLU units", NetworkInput::any},
       true,
       true,
       Init::kaiming_fan_in,
       {32'768, 256, 128},
       build_mlp},
      {{"paper-mlp", "three hidden layers of 100 sigmoid units (Ioffe and Szegedy 2015)",
        NetworkInput::any},
       true,
       false,
       Init::xavier,
       {20'000, 100, 100},
       build_paper_mlp},
      {{"convnet", "four 3x3 convolutions of 64 to 128 filters", NetworkInput::images},
       true,
       true,
       Init::kaiming_fan_in,
       {258'048, 576, 128},
       build_convnet},
      {{"resnet20", "residual network of 20 layers for small images (He et al. 2016)",
        NetworkInput::images},
       false,
       true,
       Init::kaiming_fan_out,
       {269'824, 144, 64},
       build_resnet20},
      {{"resnet50", "residual network of 50 layers with bottlenecks (He et al. 2016)",
        NetworkInput::images},
       false,
       true,
       Init::kaiming_fan_out,
       {23'445'504, 576, 2048},
       build_resnet50},
      {{"preact-resnet20", "resnet20 with normalization at the start of each block",
        NetworkInput::images},
       false,
       true,
       Init::kaiming_fan_out,
       {269'824, 144, 64},
       build_preact_resnet20},
      {{"inception-small", "parallel branches of 1x1 and 3x3 convolutions", NetworkInput::images},
       true,
       true,
       Init::kaiming_fan_in,
       {234'496, 216, 256},
       build_inception_small},
      {{"densenet-small", "every layer sees all before it (Huang et al. 2017)",
        NetworkInput::images},
       false,
       true,
       Init::kaiming_fan_in,
       {130'688, 288, 120},
       build_densenet_small},
      {{"mobilenet-small", "depthwise separable convolutions (Howard et al. 2017)",
        NetworkInput::images},
       true,
       true,
       Init::kaiming_fan_out,
       {198'240, 288, 256},
       build_mobilenet_small},
      {{"encoder-small", "three layers of self-attention over steps or patches of 4x4",
        NetworkInput::sequences, "layer"},
       true,
       false,
       Init::xavier,
       {98'304, 64, 64},
       build_encoder_small},
  };
  return table;
}

const std::vector<NetworkInfo>& networks() {
  static const std::vector<NetworkInfo> list = [] {
    std::vector<NetworkInfo> result;
    for (const ZooRow& row : zoo()) result.push_back(row.info);
    return result;
  }();
  return list;
}

}  // namespace evenkeel::model
