#include <algorithm>
#include <vector>

#include "own_work.h"
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::bench {
namespace {

/// Layer, group and instance norm.
class OwnRows final : public OwnWork {
 public:
  OwnRows(const Problem& problem, const Work& work, Layout layout)
      : problem_(problem),
        work_(work),
        layout_(layout),
        output_(Tensor::like(problem.x(layout))),
        dgamma_(problem.gamma.size()),
        dbeta_(problem.gamma.size()) {
    const norm::ConstRowView x = rows(problem.x(layout));
    state_memory_.resize(norm::row_state_size(x));
    state_ = norm::bind_row_state(state_memory_, x);
    workspace_.resize(norm::row_workspace_size(x));
    if (work.operation == Operation::backward) forward(&state_);
  }

  void run() override {
    switch (work_.operation) {
      case Operation::forward:
        forward(&state_);
        break;
      case Operation::inference:
        forward(nullptr);
        break;
      case Operation::backward:
        norm::backward_rows(rows(problem_.x(layout_)), rows(problem_.dy(layout_)), affine(), state_,
                            norm::Centre::mean, output_rows(), std::span<float>(dgamma_),
                            std::span<float>(dbeta_), workspace_);
        break;
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
    }
    return actual;
  }

 private:
  norm::ConstRowView rows(const Tensor& tensor) const {
    return norm::group_view(norm::view(tensor), problem_.size().groups);
  }
  norm::RowView output_rows() {
    return norm::group_view(norm::view(output_), problem_.size().groups);
  }
  norm::Affine affine() const {
    return {std::span<const float>(problem_.gamma), std::span<const float>(problem_.beta)};
  }
  void forward(norm::RowNormState* state) {
    norm::forward_rows(rows(problem_.x(layout_)), affine(), {.eps = Problem::kEps}, output_rows(),
                       state, workspace_);
  }

  const Problem& problem_;
  Work work_;
  Layout layout_;
  Tensor output_;
  std::vector<float> dgamma_, dbeta_;
  std::vector<std::byte> state_memory_, workspace_;
  norm::RowNormState state_;
};

}  // namespace

std::shared_ptr<OwnWork> own_rows(const Problem& problem, const Work& work, Layout layout) {
  return std::make_shared<OwnRows>(problem, work, layout);
}

}  // namespace evenkeel::bench
