#include "model/zoo/zoo.h"

namespace evenkeel::model {

const std::vector<ZooRow>& zoo() {
  static const std::vector<ZooRow> table = {
      {{"mlp", "two hidden layers of 256 and 128 ReLU units", false},
       true,
       Init::kaiming_fan_in,
       build_mlp},
      {{"paper-mlp", "three hidden layers of 100 sigmoid units (Ioffe and Szegedy 2015)", false},
       true,
       Init::xavier,
       build_paper_mlp},
      {{"convnet", "four 3x3 convolutions of 64 to 128 filters", true},
       true,
       Init::kaiming_fan_in,
       build_convnet},
      {{"resnet20", "residual network of 20 layers for small images (He et al. 2016)", true},
       false,
       Init::kaiming_fan_out,
       build_resnet20},
      {{"resnet50", "residual network of 50 layers with bottlenecks (He et al. 2016)", true},
       false,
       Init::kaiming_fan_out,
       build_resnet50},
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
