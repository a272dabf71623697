#include <algorithm>
#include <vector>

#include "own_work.h"
#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::bench {
namespace {

std::vector<double> widened(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

class OwnBatchNorm final : public OwnWork {
 public:
  OwnBatchNorm(const Problem& problem, const Work& work, Layout layout)
      : problem_(problem),
        work_(work),
        layout_(layout),
        output_(Tensor::like(problem.x(layout))),
        mean_(widened(problem.running_mean)),
        var_(widened(problem.running_var)),
        dgamma_(problem.gamma.size()),
        dbeta_(problem.gamma.size()) {
    const norm::ConstChannelView x = norm::view(problem.x(layout));
    epilogue_.activation = work.relu ? norm::Activation::relu : norm::Activation::none;
    if (work.add) epilogue_.add = norm::view(problem.add(layout));
    state_memory_.resize(norm::state_size(x, epilogue_));
    state_ = norm::bind_state(state_memory_, x, epilogue_);
    workspace_.resize(norm::workspace_size(x));
    if (work.operation == Operation::backward) {
      forward();
      if (work.add) sum_gradient_ = Tensor::like(problem.x(layout));
    }
  }

  void run() override {
    const norm::ConstChannelView x = norm::view(problem_.x(layout_));
    switch (work_.operation) {
      case Operation::forward:
        forward();
        break;
      case Operation::inference:
        norm::forward_infer(x, affine(), Problem::kEps, mean_, var_, epilogue_, norm::view(output_),
                            nullptr, workspace_);
        break;
      case Operation::backward: {
        std::optional<norm::ChannelView> dadd;
        if (work_.add) dadd = norm::view(sum_gradient_);
        norm::backward_train(x, norm::view(problem_.dy(layout_)), affine(), state_, epilogue_,
                             norm::view(output_), std::span<float>(dgamma_),
                             std::span<float>(dbeta_), dadd, workspace_);
        break;
      }
    }
  }

  Actual read(const Expected& expected) override {
    std::ranges::fill(dgamma_, 0.0F);
    std::ranges::fill(dbeta_, 0.0F);
    run();
    Actual actual;
    actual.output = values_at(output_, expected.places);
    if (work_.operation == Operation::backward) {
      actual.dgamma = values_at(dgamma_.data(), expected.parameters);
      actual.dbeta = values_at(dbeta_.data(), expected.parameters);
      if (work_.add) actual.sum_gradient = values_at(sum_gradient_, expected.places);
    } else if (work_.operation == Operation::forward) {
      for (const std::int64_t c : expected.parameters) {
        actual.mean.push_back(state_.mean[static_cast<std::size_t>(c)]);
        actual.var.push_back(state_.var[static_cast<std::size_t>(c)]);
      }
    }
    return actual;
  }

 private:
  norm::Affine affine() const {
    return {std::span<const float>(problem_.gamma), std::span<const float>(problem_.beta)};
  }
  void forward() {
    norm::RunningStats running{.mean = mean_, .var = var_, .batches = &batches_};
    norm::forward_train(norm::view(problem_.x(layout_)), affine(), Problem::kEps, &running,
                        epilogue_, norm::view(output_), state_, workspace_);
  }

  const Problem& problem_;
  Work work_;
  Layout layout_;
  Tensor output_, sum_gradient_;
  std::vector<double> mean_, var_;
  std::int64_t batches_ = 0;
  std::vector<float> dgamma_, dbeta_;
  norm::Epilogue epilogue_;
  std::vector<std::byte> state_memory_, workspace_;
  norm::BatchNormState state_;
};

}  // namespace

std::shared_ptr<OwnWork> own_batch_norm(const Problem& problem, const Work& work, Layout layout) {
  return std::make_shared<OwnBatchNorm>(problem, work, layout);
}

}  // namespace evenkeel::bench
