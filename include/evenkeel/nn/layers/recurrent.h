// What recurrent layers share: stacking, directions, sequences of different lengths.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

class SequenceRows;

/// Changing them later has no effect: the layer copies them.
struct RecurrentOptions {
  std::int64_t num_layers = 1;
  bool bidirectional = false;  ///< a second net reads every sequence from its own end
  bool bias = true;
  double dropout = 0;  ///< on what each stacked layer hands to the next, in training
};

/// x [N, input_size, T] → y [N, D·hidden_size, T], D = 2 where bidirectional (the forward
/// direction's channels first), f32 or f64 like the parameters (bf16: Module), either layout;
/// channels last is memory's order of [N, T, input_size], which PyTorch calls batch_first, and
/// spares the transpositions. States begin at zero. Padding (Module::set_lengths) enters neither
/// states nor gradients, y is zero there, and the backward direction begins at each sequence's own
/// last step.
///
/// Parameters as PyTorch names them, for each layer k and with the suffix _reverse for the backward
/// direction, G gates one after the other: weight_ih_lk [G·H, input], weight_hh_lk [G·H, H],
/// bias_ih_lk and bias_hh_lk [G·H].
class Recurrent : public Module {
 public:
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// PyTorch's: everything from U(±1/√hidden_size).
  void reset_parameters(Random& random) override;

  std::int64_t input_size() const { return input_; }
  std::int64_t hidden_size() const { return hidden_; }
  const RecurrentOptions& settings() const { return settings_; }

 protected:
  /// One direction of one of the stacked layers.
  struct Cell {
    Id weight_ih = 0, weight_hh = 0, bias_ih = 0, bias_hh = 0;
    std::string suffix;  ///< "_l0", "_l0_reverse"
  };
  /// What a cell keeps of a forward for its backward.
  class Pass {
   public:
    virtual ~Pass() = default;
  };

  /// Registers the parameters. Throws UsageError for values out of range.
  Recurrent(std::string_view type, std::int64_t input_size, std::int64_t hidden_size,
            std::int64_t gates, RecurrentOptions options);
  Recurrent(const Recurrent& other) = default;
  Recurrent(Recurrent&&) = default;

  const std::vector<Cell>& cells() const { return cells_; }
  /// Throws where a forward over these rows cannot be run.
  virtual void check_run(const SequenceRows& /*rows*/) const {}
  /// The states [rows, H] of a cell for its input [rows, input], in the order of RowOrder::by_step.
  /// Fills `pass` where it is given.
  virtual Tensor run(std::size_t cell, const SequenceRows& rows, const Tensor& x,
                     std::unique_ptr<Pass>* pass) = 0;
  /// Adds to the parameters' gradients and returns that of x, undefined unless it is wanted. dh is
  /// [rows, H] and may be overwritten.
  virtual Tensor run_back(std::size_t cell, const SequenceRows& rows, const Pass& pass, Tensor dh,
                          bool wants_dx) = 0;

  /// The parameter where the layer has biases, else none.
  Tensor bias_of(Id id) const { return settings_.bias ? parameter(id).value : Tensor(); }

 private:
  struct Saved;
  SavedBase* own_saved() override { return &saved_; }
  Tensor run_layers(const SequenceRows& rows, Tensor x, Saved* saved);
  Tensor run_layers_back(const Saved& saved, Tensor dh);
  Tensor drop(const Tensor& x, Saved* saved);

  std::int64_t input_, hidden_, gates_;
  RecurrentOptions settings_;
  std::vector<Cell> cells_;  // layer by layer, the forward direction first
  Id random_ = 0;
  SavedStack<std::shared_ptr<const Saved>> saved_;
};

}  // namespace evenkeel::nn
