#include "onednn_sum.h"

namespace evenkeel::bench {

using dnnl::algorithm;

OnednnSum::OnednnSum(const dnnl::memory::desc& data, const dnnl::memory& y,
                     const dnnl::memory& addend, bool relu) {
  dnnl::primitive_attr attributes;
  if (relu) {
    dnnl::post_ops after;
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(algorithm::eltwise_relu, 0, 0);
#else
    after.append_eltwise(1, algorithm::eltwise_relu, 0, 0);
#endif
    attributes.set_post_ops(after);
  }
#if DNNL_VERSION_MAJOR >= 3
  primitive_ = dnnl::binary({onednn_engine(), algorithm::binary_add, data, data, data, attributes});
#else
  primitive_ = dnnl::binary(dnnl::binary::primitive_desc({algorithm::binary_add, data, data, data},
                                                         attributes, onednn_engine()));
#endif
  arguments_ = {{DNNL_ARG_SRC_0, y}, {DNNL_ARG_SRC_1, addend}, {DNNL_ARG_DST, y}};
}

OnednnReluGradient::OnednnReluGradient(const dnnl::memory::desc& data, const dnnl::memory& y,
                                       const dnnl::memory& dy, const dnnl::memory& g) {
  constexpr auto kRelu = algorithm::eltwise_relu_use_dst_for_bwd;
  constexpr auto kTraining = dnnl::prop_kind::forward_training;
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::eltwise_forward::primitive_desc forward(onednn_engine(), kTraining, kRelu, data, data,
                                                      0.0F, 0.0F);
  primitive_ =
      dnnl::eltwise_backward({onednn_engine(), kRelu, data, data, data, 0.0F, 0.0F, forward});
#else
  const dnnl::eltwise_forward::primitive_desc forward({kTraining, kRelu, data, 0.0F, 0.0F},
                                                      onednn_engine());
  primitive_ = dnnl::eltwise_backward(dnnl::eltwise_backward::primitive_desc(
      {kRelu, data, data, 0.0F, 0.0F}, onednn_engine(), forward));
#endif
  arguments_ = {{DNNL_ARG_DST, y}, {DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_SRC, g}};
}

}  // namespace evenkeel::bench
