#include "onednn_memory.h"
#include "onednn_work.h"

namespace evenkeel::bench {
namespace {

using dnnl::layer_normalization_backward;
using dnnl::layer_normalization_forward;
using dnnl::normalization_flags;
using dnnl::prop_kind;

constexpr auto kEps = static_cast<float>(Problem::kEps);
const auto kFlags = normalization_flags::use_scale | normalization_flags::use_shift;

class LayerNorm final : public OnednnWork {
 public:
  LayerNorm(const Problem& problem, const Work& work) : problem_(problem), work_(work) {
    const std::int64_t rows = problem.size().n, length = problem.size().c;
    const dnnl::memory::desc data({rows, length}, dnnl::memory::data_type::f32,
                                  dnnl::memory::format_tag::ab);
    const dnnl::memory::desc parameters = vector_desc(length);
    const void* const x = problem.x(Layout::channels_first).raw();
    x_ = Buffer(data, x);
    y_ = Buffer(data);
    scale_ = Buffer(parameters, problem.gamma.data());
    shift_ = Buffer(parameters, problem.beta.data());
    const prop_kind kind = work.operation == Operation::inference ? prop_kind::forward_inference
                                                                  : prop_kind::forward_training;
#if DNNL_VERSION_MAJOR >= 3
    forward_ = {onednn_engine(), kind, data, data, kEps, kFlags};
#else
    forward_ = {{kind, data, kEps, kFlags}, onednn_engine()};
#endif
    primitive_ = layer_normalization_forward(forward_);
    implementation_ = implementation_of(forward_);
    arguments_ = {{DNNL_ARG_SRC, x_.memory},
                  {DNNL_ARG_DST, y_.memory},
                  {DNNL_ARG_SCALE, scale_.memory},
                  {DNNL_ARG_SHIFT, shift_.memory}};
    if (work.operation != Operation::inference) {
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
    const bool backward = work_.operation == Operation::backward;
    actual.output = values_at((backward ? dx_ : y_).tensor.data<float>(), expected.places);
    if (backward) {
      actual.dgamma = values_at(dscale_.tensor.data<float>(), expected.parameters);
      actual.dbeta = values_at(dshift_.tensor.data<float>(), expected.parameters);
    }
    return actual;
  }

  std::string implementation() const override { return implementation_; }

 private:
  void make_backward(const dnnl::memory::desc& data, const dnnl::memory::desc& parameters) {
    run();
#if DNNL_VERSION_MAJOR >= 3
    const layer_normalization_backward::primitive_desc desc(
        onednn_engine(), prop_kind::backward, data, data, data, kEps, kFlags, forward_);
#else
    const layer_normalization_backward::primitive_desc desc(
        {prop_kind::backward, data, data, kEps, kFlags}, onednn_engine(), forward_);
#endif
    primitive_ = layer_normalization_backward(desc);
    implementation_ = implementation_of(desc);
    dy_ = Buffer(data, problem_.dy(Layout::channels_first).raw());
    dx_ = Buffer(data);
    dscale_ = Buffer(parameters);
    dshift_ = Buffer(parameters);
    arguments_ = {{DNNL_ARG_SRC, x_.memory},
                  {DNNL_ARG_DIFF_DST, dy_.memory},
                  {DNNL_ARG_DIFF_SRC, dx_.memory},
                  {DNNL_ARG_MEAN, mean_.memory},
                  {DNNL_ARG_VARIANCE, variance_.memory},
                  {DNNL_ARG_SCALE, scale_.memory},
                  {DNNL_ARG_SHIFT, shift_.memory},  // not read, but version 2 counts it
                  {DNNL_ARG_DIFF_SCALE, dscale_.memory},
                  {DNNL_ARG_DIFF_SHIFT, dshift_.memory}};
  }

  const Problem& problem_;
  Work work_;
  Buffer x_, y_, dy_, dx_, scale_, shift_, mean_, variance_, dscale_, dshift_;
  layer_normalization_forward::primitive_desc forward_;
  dnnl::primitive primitive_;
  Arguments arguments_;
  std::string implementation_;
};

}  // namespace

std::shared_ptr<OnednnWork> onednn_layer_norm(const Problem& problem, const Work& work) {
  return std::make_shared<LayerNorm>(problem, work);
}

}  // namespace evenkeel::bench
