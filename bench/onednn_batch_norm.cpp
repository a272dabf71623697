#include "onednn_batch_norm.h"

#include "onednn_memory.h"
#include "onednn_sum.h"

namespace evenkeel::bench {
namespace {

using dnnl::batch_normalization_backward;
using dnnl::batch_normalization_forward;
using dnnl::normalization_flags;
using dnnl::prop_kind;

batch_normalization_forward::primitive_desc forward_desc(prop_kind kind,
                                                         const dnnl::memory::desc& data,
                                                         normalization_flags flags) {
  constexpr auto kEps = static_cast<float>(Problem::kEps);
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), kind, data, data, kEps, flags};
#else
  return {{kind, data, kEps, flags}, onednn_engine()};
#endif
}

batch_normalization_backward::primitive_desc backward_desc(
    const dnnl::memory::desc& data, normalization_flags flags,
    const batch_normalization_forward::primitive_desc& forward) {
  constexpr auto kEps = static_cast<float>(Problem::kEps);
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), prop_kind::backward, data, data, data, kEps, flags, forward};
#else
  return {{prop_kind::backward, data, data, kEps, flags}, onednn_engine(), forward};
#endif
}

dnnl::memory::desc desc_of(const ProblemSize& size, Format format) {
  using Tag = dnnl::memory::format_tag;
  const Tag tag = format == Format::nchw   ? Tag::nchw
                  : format == Format::nhwc ? Tag::nhwc
                                           : Tag::nChw16c;
  return {{size.n, size.c, size.h, size.w}, dnnl::memory::data_type::f32, tag};
}

class BatchNorm final : public OnednnWork {
 public:
  BatchNorm(const Problem& problem, const Work& work, Format format)
      : problem_(problem), work_(work), format_(format) {
    data_ = desc_of(problem.size(), format);
    flags_ = normalization_flags::use_scale | normalization_flags::use_shift;
    if (fused_relu()) flags_ = flags_ | normalization_flags::fuse_norm_relu;
    const dnnl::memory::desc vector = vector_desc(problem.size().c);
    x_ = input(&Problem::x);
    y_ = Buffer(data_);
    scale_ = Buffer(vector, problem.gamma.data());
    shift_ = Buffer(vector, problem.beta.data());
    make_forward(vector);
    if (work.add) {
      addend_ = input(&Problem::add);
      sum_ = OnednnSum(data_, y_.memory, addend_.memory, work.relu);
    }
    if (work.operation == Operation::backward) make_backward(vector);
  }

  void run() override {
    if (work_.operation != Operation::backward) {
      forward();
      return;
    }
    if (separate_relu()) relu_gradient_.run();
    run_primitive(primitive_, backward_arguments_);
  }

  Actual read(const Expected& expected) override {
    run();
    Actual actual;
    actual.output = places_of(work_.operation == Operation::backward ? dx_ : y_, expected.places);
    if (work_.operation == Operation::backward) {
      actual.dgamma = values_at(dscale_.tensor.data<float>(), expected.parameters);
      actual.dbeta = values_at(dshift_.tensor.data<float>(), expected.parameters);
      if (work_.add) {
        actual.sum_gradient = places_of(separate_relu() ? g_ : dy_, expected.places);
      }
    } else if (work_.operation == Operation::forward) {
      actual.mean = values_at(mean_.tensor.data<float>(), expected.parameters);
      actual.var = values_at(variance_.tensor.data<float>(), expected.parameters);
    }
    return actual;
  }

  std::string implementation() const override { return implementation_; }

 private:
  bool fused_relu() const { return work_.relu && !work_.add; }
  bool separate_relu() const { return work_.relu && work_.add; }

  void forward() {
    run_primitive(primitive_, forward_arguments_);
    if (work_.add) sum_.run();
  }

  /// Plain formats work on the problem's own memory.
  Buffer input(const Tensor& (Problem::*of)(Layout) const) const {
    const Layout layout = format_ == Format::nhwc ? Layout::channels_last : Layout::channels_first;
    const Format plain = format_ == Format::nhwc ? Format::nhwc : Format::nchw;
    const Buffer values(desc_of(problem_.size(), plain), (problem_.*of)(layout).raw());
    return plain == format_ ? values : reordered(data_, values);
  }

  void make_forward(const dnnl::memory::desc& vector) {
    const bool inference = work_.operation == Operation::inference;
    if (inference) {
      flags_ = flags_ | normalization_flags::use_global_stats;
      mean_ = Buffer(vector, problem_.running_mean.data());
      variance_ = Buffer(vector, problem_.running_var.data());
    } else {
      mean_ = Buffer(vector);
      variance_ = Buffer(vector);
    }
    forward_ = forward_desc(inference ? prop_kind::forward_inference : prop_kind::forward_training,
                            data_, flags_);
    primitive_ = batch_normalization_forward(forward_);
    implementation_ = implementation_of(forward_);
    forward_arguments_ = {{DNNL_ARG_SRC, x_.memory},       {DNNL_ARG_DST, y_.memory},
                          {DNNL_ARG_MEAN, mean_.memory},   {DNNL_ARG_VARIANCE, variance_.memory},
                          {DNNL_ARG_SCALE, scale_.memory}, {DNNL_ARG_SHIFT, shift_.memory}};
    if (fused_relu() && !inference) {
      workspace_ = Buffer(forward_.workspace_desc());
      forward_arguments_[DNNL_ARG_WORKSPACE] = workspace_.memory;
    }
  }

  void make_backward(const dnnl::memory::desc& vector) {
    forward();
    const auto desc = backward_desc(data_, flags_, forward_);
    primitive_ = batch_normalization_backward(desc);
    implementation_ = implementation_of(desc);
    dy_ = input(&Problem::dy);
    dx_ = Buffer(data_);
    dscale_ = Buffer(vector);
    dshift_ = Buffer(vector);
    if (separate_relu()) {
      g_ = Buffer(data_);
      relu_gradient_ = OnednnReluGradient(data_, y_.memory, dy_.memory, g_.memory);
    }
    backward_arguments_ = {{DNNL_ARG_SRC, x_.memory},
                           {DNNL_ARG_DIFF_DST, separate_relu() ? g_.memory : dy_.memory},
                           {DNNL_ARG_DIFF_SRC, dx_.memory},
                           {DNNL_ARG_MEAN, mean_.memory},
                           {DNNL_ARG_VARIANCE, variance_.memory},
                           {DNNL_ARG_SCALE, scale_.memory},
                           {DNNL_ARG_DIFF_SCALE, dscale_.memory},
                           {DNNL_ARG_DIFF_SHIFT, dshift_.memory}};
#if DNNL_VERSION_MAJOR < 3  // which does not read it but counts the arguments
    backward_arguments_[DNNL_ARG_SHIFT] = shift_.memory;
#endif
    if (fused_relu()) backward_arguments_[DNNL_ARG_WORKSPACE] = workspace_.memory;
  }

  std::vector<double> places_of(const Buffer& buffer, const std::vector<std::int64_t>& places) {
    Tensor plain = Tensor::empty(problem_.shape());
    Buffer target(desc_of(problem_.size(), Format::nchw), plain.raw());
    dnnl::memory source = buffer.memory;
    dnnl::reorder(source, target.memory).execute(onednn_stream(), source, target.memory);
    onednn_stream().wait();
    return values_at(plain, places);
  }

  const Problem& problem_;
  Work work_;
  Format format_;
  dnnl::memory::desc data_;
  normalization_flags flags_{};
  Buffer x_, y_, dy_, dx_, g_, addend_, scale_, shift_, mean_, variance_, workspace_, dscale_,
      dshift_;
  batch_normalization_forward::primitive_desc forward_;
  OnednnSum sum_;
  OnednnReluGradient relu_gradient_;
  dnnl::primitive primitive_;
  Arguments forward_arguments_, backward_arguments_;
  std::string implementation_;
};

}  // namespace

std::shared_ptr<OnednnWork> onednn_batch_norm(const Problem& problem, const Work& work,
                                              Format format) {
  return std::make_shared<BatchNorm>(problem, work, format);
}

}  // namespace evenkeel::bench
