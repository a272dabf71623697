#include "nn/layers/step_norm.h"

#include <algorithm>
#include <span>

#include <evenkeel/core/memory.h>
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::nn {
namespace {

/// Memory from the caching allocator, as the bytes that the operators ask for.
struct Bytes {
  std::shared_ptr<std::byte> owner;
  std::span<std::byte> span;

  explicit Bytes(std::size_t size) : owner(allocate(size)), span(owner.get(), size) {}
};

norm::Affine affine_of(const StepAffine& affine) {
  return {norm::ConstVectorView(affine.gamma), norm::ConstVectorView(affine.beta)};
}

class StepLayerNorm : public StepNorm {
 public:
  StepLayerNorm(const StepAffine& affine, double eps) : affine_(affine), norm_{.eps = eps} {}

  void forward(const Tensor& x, std::int64_t /*step*/, Tensor& y, Saved* saved) override {
    const norm::ConstRowView in = norm::row_view(x, 1);
    const Bytes workspace(norm::row_workspace_size(in));
    const Bytes memory(norm::row_state_size(in));
    norm::RowNormState state = norm::bind_row_state(memory.span, in);
    norm::forward_rows(in, affine_of(affine_), norm_, norm::row_view(y, 1), &state, workspace.span);
    if (saved != nullptr) *saved = {memory.owner, memory.span.size(), true};
  }

  void backward(const Tensor& x, const Tensor& dy, const Saved& saved, Tensor& dx) override {
    const norm::ConstRowView in = norm::row_view(x, 1);
    const Bytes workspace(norm::row_workspace_size(in));
    const norm::RowNormState state = norm::bind_row_state({saved.memory.get(), saved.bytes}, in);
    norm::backward_rows(in, norm::row_view(dy, 1), affine_of(affine_), state, norm_.centre,
                        norm::row_view(dx, 1), norm::VectorView(affine_.dgamma),
                        norm::VectorView(affine_.dbeta), workspace.span);
  }

 private:
  StepAffine affine_;
  norm::RowNorm norm_;
};

class StepBatchNorm : public StepNorm {
 public:
  StepBatchNorm(const StepAffine& affine, const StepStatistics& statistics,
                const StepBatchNormOptions& options)
      : affine_(affine), statistics_(statistics), options_(options) {}

  void forward(const Tensor& x, std::int64_t step, Tensor& y, Saved* saved) override {
    const norm::ConstChannelView in = norm::view(x);
    const Bytes workspace(norm::workspace_size(in));
    const Bytes memory(norm::state_size(in, {}));
    norm::BatchNormState state = norm::bind_state(memory.span, in, {});
    const bool batch = options_.training && x.dim(0) > 1;
    if (batch) {
      norm::RunningStats running = running_at(std::min(step, last_step()));
      norm::forward_train(in, affine_of(affine_), options_.eps, &running, {}, norm::view(y), state,
                          workspace.span);
    } else {
      const norm::RunningStats running = running_at(seen_step(step));
      norm::forward_infer(in, affine_of(affine_), options_.eps, running.mean, running.var, {},
                          norm::view(y), saved != nullptr ? &state : nullptr, workspace.span);
    }
    if (saved != nullptr) *saved = {memory.owner, memory.span.size(), batch};
  }

  void backward(const Tensor& x, const Tensor& dy, const Saved& saved, Tensor& dx) override {
    const norm::ConstChannelView in = norm::view(x);
    const Bytes workspace(norm::workspace_size(in));
    const norm::BatchNormState state = norm::bind_state({saved.memory.get(), saved.bytes}, in, {});
    const auto run = saved.batch_statistics ? norm::backward_train : norm::backward_infer;
    run(in, norm::view(dy), affine_of(affine_), state, {}, norm::view(dx),
        norm::VectorView(affine_.dgamma), norm::VectorView(affine_.dbeta), std::nullopt,
        workspace.span);
  }

 private:
  std::int64_t last_step() const { return statistics_.mean.dim(0) - 1; }

  /// The last step up to `step` that has seen a batch; the first where none has.
  std::int64_t seen_step(std::int64_t step) const {
    const auto* const batches = statistics_.batches.data<std::int64_t>();
    std::int64_t seen = std::min(step, last_step());
    while (seen > 0 && batches[seen] == 0) --seen;
    return seen;
  }

  norm::RunningStats running_at(std::int64_t step) {
    const auto channels = static_cast<std::size_t>(statistics_.mean.dim(1));
    const std::size_t begin = static_cast<std::size_t>(step) * channels;
    norm::RunningStats running;
    running.mean = statistics_.mean.span<double>().subspan(begin, channels);
    running.var = statistics_.var.span<double>().subspan(begin, channels);
    running.batches = statistics_.batches.data<std::int64_t>() + step;
    running.momentum = options_.momentum;
    running.refuse_non_finite = true;
    return running;
  }

  StepAffine affine_;
  StepStatistics statistics_;
  StepBatchNormOptions options_;
};

}  // namespace

std::unique_ptr<StepNorm> make_step_layer_norm(const StepAffine& affine, double eps) {
  return std::make_unique<StepLayerNorm>(affine, eps);
}

std::unique_ptr<StepNorm> make_step_batch_norm(const StepAffine& affine,
                                               const StepStatistics& statistics,
                                               const StepBatchNormOptions& options) {
  return std::make_unique<StepBatchNorm>(affine, statistics, options);
}

}  // namespace evenkeel::nn
