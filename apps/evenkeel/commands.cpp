#include "command.h"

namespace evenkeel::app {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"train", "Train a network and write a run folder", define_train},
      {"compare", "Train with and without batch norm, each at its best rate", define_compare},
      {"lab", "Measure what is claimed for batch normalization", define_lab},
      {"eval", "Measure a trained network on a data set", define_eval},
      {"predict", "Classify images or rows with a trained network", define_predict},
      {"inspect", "List the layers of a network and what they hold", define_inspect},
      {"export", "Write a trained network as an ONNX model or a state dict", define_export},
      {"import", "Load weights of PyTorch or others by name", define_import},
      {"fold", "Put batch norms into the layers around them", define_fold},
      {"recalibrate", "Take batch norm's running statistics anew from data", define_recalibrate},
      {"doctor", "Find what is wrong with a network's batch norms", define_doctor},
      {"report", "Draw training runs on one HTML page", define_report},
      {"bench", "Measure the speed of batch norm on this machine", define_bench},
      {"info", "Show the version, the processor and the kernels chosen", define_info},
  };
  return table;
}

}  // namespace evenkeel::app
