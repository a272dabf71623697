#include "onednn_memory.h"
#include "onednn_work.h"

namespace evenkeel::bench {

#if DNNL_VERSION_MAJOR > 3 || (DNNL_VERSION_MAJOR == 3 && DNNL_VERSION_MINOR >= 3)

namespace {

using dnnl::group_normalization_backward;
using dnnl::group_normalization_forward;
using dnnl::normalization_flags;
using dnnl::prop_kind;

constexpr auto kEps = static_cast<float>(Problem::kEps);
const auto kFlags = normalization_flags::use_scale | normalization_flags::use_shift;

class GroupNorm final : public OnednnWork {
 public:
  GroupNorm(const Problem& problem, const Work& work, Layout layout)
      : problem_(problem), work_(work), layout_(layout) {
    const ProblemSize& size = problem.size();
    const auto tag = layout == Layout::channels_first ? dnnl::memory::format_tag::nchw
                                                      : dnnl::memory::format_tag::nhwc;
    const dnnl::memory::desc data({size.n, size.c, size.h, size.w}, dnnl::memory::data_type::f32,
                                  tag);
    const dnnl::memory::desc parameters = vector_desc(size.c);
    x_ = Buffer(data, problem.x(layout).raw());
    output_ = Tensor::like(problem.x(layout));
    y_ = Buffer(data, output_.raw());
    scale_ = Buffer(parameters, problem.gamma.data());
    shift_ = Buffer(parameters, problem.beta.data());
    const bool inference = work.operation == Operation::inference;
    forward_ = {onednn_engine(),
                inference ? prop_kind::forward_inference : prop_kind::forward_training,
                data,
                data,
                size.groups,
                kEps,
                kFlags};
    primitive_ = group_normalization_forward(forward_);
    implementation_ = implementation_of(forward_);
    arguments_ = {{DNNL_ARG_SRC, x_.memory},
                  {DNNL_ARG_DST, y_.memory},
                  {DNNL_ARG_SCALE, scale_.memory},
                  {DNNL_ARG_SHIFT, shift_.memory}};
    if (!inference) {
      mean_ = Buffer(forward_.mean_desc());
      variance_ = Buffer(forward_.variance_desc());
      arguments_[DNNL_ARG_MEAN] = mean_.memory;
      arguments_[DNNL_ARG_VARIANCE] = variance_.memory;
    }
    if (work.operation == Operation::backward) make_backward(data, parameters);
  }

  void run() override { run_primitive(primitive_, arguments_); }

  Actual read(const Expected& expected) override {
    run();
    Actual actual;
    actual.output = values_at(output_, expected.places);
    if (work_.operation == Operation::backward) {
      actual.dgamma = values_at(dscale_.tensor.data<float>(), expected.parameters);
      actual.dbeta = values_at(dshift_.tensor.data<float>(), expected.parameters);
    }
    return actual;
  }

  std::string implementation() const override { return implementation_; }

 private:
  void make_backward(const dnnl::memory::desc& data, const dnnl::memory::desc& parameters) {
    run();
    const group_normalization_backward::primitive_desc desc(
        onednn_engine(), prop_kind::backward, data, data, data, problem_.size().groups, kEps,
        kFlags, forward_);
    primitive_ = group_normalization_backward(desc);
    implementation_ = implementation_of(desc);
    dy_ = Buffer(data, problem_.dy(layout_).raw());
    dscale_ = Buffer(parameters);
    dshift_ = Buffer(parameters);
    arguments_ = {{DNNL_ARG_SRC, x_.memory},
                  {DNNL_ARG_DIFF_DST, dy_.memory},
                  {DNNL_ARG_DIFF_SRC, y_.memory},
                  {DNNL_ARG_MEAN, mean_.memory},
                  {DNNL_ARG_VARIANCE, variance_.memory},
                  {DNNL_ARG_SCALE, scale_.memory},
                  {DNNL_ARG_DIFF_SCALE, dscale_.memory},
                  {DNNL_ARG_DIFF_SHIFT, dshift_.memory}};
  }

  const Problem& problem_;
  Work work_;
  Layout layout_;
  Tensor output_;
  Buffer x_, y_, dy_, scale_, shift_, mean_, variance_, dscale_, dshift_;
  group_normalization_forward::primitive_desc forward_;
  dnnl::primitive primitive_;
  Arguments arguments_;
  std::string implementation_;
};

}  // namespace

std::shared_ptr<OnednnWork> onednn_group_norm(const Problem& problem, const Work& work,
                                              Layout layout) {
  return std::make_shared<GroupNorm>(problem, work, layout);
}

#else  // group normalization came with oneDNN 3.3

std::shared_ptr<OnednnWork> onednn_group_norm(const Problem&, const Work&, Layout) {
  return nullptr;
}

#endif

}  // namespace evenkeel::bench
