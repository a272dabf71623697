#include "command.h"

namespace evenkeel::app {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"train", "train a network and write a run folder", define_train},
      {"eval", "measure a trained network on a data set", define_eval},
      {"predict", "classify images or rows with a trained network", define_predict},
      {"inspect", "list the layers of a network and what they hold", define_inspect},
      {"info", "show the version, the processor and what was chosen for it", define_info},
  };
  return table;
}

}  // namespace evenkeel::app
