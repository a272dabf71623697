// State dicts from elsewhere: read from PyTorch's and safetensors files, loaded by name with a
// report.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::deploy {

/// What a library means by the options of its batch norms, which no state dict holds. Momentum is
/// converted to PyTorch's convention, the weight of the new value: Keras's is that of the old one.
struct Convention {
  std::string_view name;
  double eps = 0;
  double momentum = 0;         ///< weight of the new value
  double source_momentum = 0;  ///< as the library itself says it
  bool unbiased = true;        ///< whether its moving variance is over n − 1
};
/// "torch" (1e-5, 0.1) or "keras" (1e-3, 0.99 of the old value). Throws UsageError for another
/// word.
const Convention& convention(std::string_view name);
/// All of them.
std::vector<Convention> conventions();

struct ReadOptions {
  /// Which dict of a PyTorch checkpoint, such as "state_dict"; "": the only one, or the one of the
  /// usual names.
  std::string dict;
};

struct ReadState {
  nn::StateDict tensors;
  std::vector<std::string> notes;  ///< what was chosen, stripped, renamed or converted
};

/// Reads .safetensors files (of any library, or evenkeel's own, checkpoints among them) and
/// PyTorch's (io::read_torch_checkpoint). A prefix that all names share ("module.", of
/// DataParallel;
/// "_orig_mod.", of torch.compile) is stripped; gamma, beta, moving_mean and moving_variance become
/// weight, bias, running_mean and running_var. Throws IoError naming the file and the fault, or the
/// dicts there are where none was asked for and several would do.
ReadState read_state_dict(const std::filesystem::path& path, const ReadOptions& options = {});

/// The state under the network's names, for one that was registered in the same order under others
/// (layer1.0.conv1.weight for 3.body.0.weight): tensor by tensor the last part of the name and the
/// shape must agree. Counts of batches go with their layer. Throws Error naming the first pair that
/// differs. Biases that load_by_name() absorbs go with their layer. Only for files that keep the
/// order, as PyTorch's do and .safetensors ones do not.
nn::StateDict named_in_order(nn::Module& network, const nn::StateDict& state);

struct LoadReport {
  struct Mismatch {
    std::string name;
    Shape expected, got;
  };
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     ///< that the network has and the state lacks
  std::vector<std::string> unexpected;  ///< that the state has and the network lacks
  std::vector<Mismatch> mismatched;     ///< of other shapes
  /// Biases that the network does not have, subtracted from the running mean of the batch norm that
  /// alone reads their layer's output: in eval mode that gives the same.
  std::vector<std::string> absorbed;
  std::vector<std::string> notes;

  bool fits() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  /// "2 are missing ('a', 'b'), 1 is unexpected ('c')"; empty where all fits.
  std::string faults() const;
};

/// What load_by_name would find. An absent num_batches_tracked, which older files lack, and absent
/// state that PyTorch does not know are no faults; the network keeps what it has.
LoadReport match_by_name(nn::Module& network, const nn::StateDict& state);

/// Copies in what fits by name and shape, converting types, and absorbs biases. With `strict`,
/// throws Error naming what does not fit, before anything is changed; without, the rest stays as it
/// is.
LoadReport load_by_name(nn::Module& network, const nn::StateDict& state, bool strict = true);

/// Writes what PyTorch knows of a network (Module::state_dict(true)) as a plain .safetensors file,
/// atomically.
void save_state_dict(const std::filesystem::path& path, nn::Module& network);

}  // namespace evenkeel::deploy
