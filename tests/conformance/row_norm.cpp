// Layer, group and instance norm cases, against the operators (statistics) and the layers (all
// else): f64 through the reference, f32 through every instruction set, in both layouts.
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "cases.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/norm/isa.h>
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::conformance {
namespace {

/// What the case's layer is built from.
Options options_of(const Case& c) {
  const auto& a = c.attributes;
  Options options{{"eps", a.at("eps").get<double>()}};
  if (c.op == "LayerNorm") {
    options.set("normalized_shape", a.at("normalized_shape").get<std::vector<std::int64_t>>());
    options.set("elementwise_affine", a.at("affine").get<bool>());
    return options;
  }
  options.set("affine", a.at("affine").get<bool>());
  if (c.op == "GroupNorm") {
    options.set("num_groups", a.at("num_groups").get<std::int64_t>());
    const char* channels = a.contains("num_channels") ? "num_channels" : "num_features";
    options.set("num_channels", a.at(channels).get<std::int64_t>());
    return options;
  }
  options.set("num_features", a.at("num_features").get<std::int64_t>());
  options.set("track_running_stats", a.at("track_running_stats").get<bool>());
  return options;
}

class RowNormRun {
 public:
  RowNormRun(const Case& c, DType dtype, Layout layout, std::string tier)
      : case_(c),
        dtype_(dtype),
        layout_(layout),
        tier_(std::move(tier)),
        x_(c.input("x", dtype).to(layout)),
        dy_(c.input("dy", dtype).to(layout)) {}

  void run() {
    statistics();
    training();
    if (case_.has("running_mean_in")) {
      evaluation();
      running();
    }
    for (const std::string& name : case_.expected()) {
      EXPECT_TRUE(checked_.count(name) == 1) << name << " is expected but was not computed";
    }
  }

 private:
  void check(const std::string& name, const Tensor& got, std::int64_t row = -1) {
    if (!case_.has(name)) return;
    expect_close(case_, name, got, tier_, row);
    checked_.insert(name);
  }

  /// The layer with the case's parameters and running statistics.
  std::unique_ptr<nn::Module> make(double momentum = 0.1) const {
    Options options = options_of(case_);
    const bool instance = case_.op.rfind("InstanceNorm", 0) == 0;
    if (instance) options.set("momentum", momentum);
    auto layer = nn::make_layer(case_.op, options);
    layer->to(dtype_);
    for (auto& [name, tensor] : layer->state_dict()) {
      const std::string source = name == "weight" ? "gamma"
                                 : name == "bias" ? "beta"
                                                  : name + "_in";
      if (case_.has(source)) tensor.copy_from(case_.input(source, tensor.dtype()));
    }
    return layer;
  }

  void gradients(nn::Module& layer, const std::string& suffix) {
    for (const auto& [name, parameter] : layer.parameters()) parameter->grad.fill(0);
    check("dx" + suffix, layer.backward(dy_));
    for (const auto& [name, parameter] : layer.parameters()) {
      check((name == "weight" ? "dgamma" : "dbeta") + suffix, parameter->grad);
    }
  }

  void training() {
    auto layer = make();
    check("y", layer->forward(x_));
    gradients(*layer, "");
  }

  void evaluation() {
    auto layer = make();
    layer->eval();
    layer->keep_for_backward();
    check("y_eval", layer->forward(x_));
    gradients(*layer, "_eval");
  }

  /// running_{mean,var}_after1 from x and _afterK from x_updates, one row per momentum.
  void running() {
    const auto momenta = case_.attributes.at("momenta").get<std::vector<double>>();
    const Tensor updates = case_.input("x_updates", dtype_);
    for (std::size_t row = 0; row < momenta.size(); ++row) {
      for (const std::int64_t count : {std::int64_t{1}, updates.dim(0)}) {
        auto layer = make(momenta[row]);
        for (std::int64_t k = 0; k < count; ++k) {
          const Tensor x = updates.slice(k, k + 1).reshape(updates.shape().drop(1)).to(layout_);
          layer->forward(count == 1 ? x_ : x);
        }
        for (const auto& [name, tensor] : layer->state_dict()) {
          check(fmt::format("{}_after{}", name, count), tensor, static_cast<std::int64_t>(row));
        }
      }
    }
  }

  /// mean and rstd, from the operator.
  void statistics() {
    if (case_.op == "LayerNorm" && x_.rank() > 2 && x_.layout() == Layout::channels_last) {
      for (const char* name : {"mean", "rstd"})
        checked_.insert(name);  // its rows are the layer's affair
      return;
    }
    const Tensor& x = x_;
    const norm::ConstRowView in =
        case_.op == "LayerNorm"
            ? norm::row_view(x, static_cast<int>(case_.attributes.at("normalized_shape").size()))
            : norm::group_view(norm::view(x),
                               case_.op == "GroupNorm"
                                   ? case_.attributes.at("num_groups").get<std::int64_t>()
                                   : x.dim(1));
    const std::size_t bytes = norm::row_state_size(in), scratch = norm::row_workspace_size(in);
    const auto memory = allocate(bytes), workspace = allocate(scratch);
    norm::RowNormState state = norm::bind_row_state({memory.get(), bytes}, in);
    Tensor y = Tensor::like(x);
    norm::forward_rows(in, {}, {case_.attributes.at("eps").get<double>()},
                       {y.raw(), in.dtype, in.layout, in.n, in.groups, in.channels, in.s}, &state,
                       {workspace.get(), scratch});
    for (const auto& [name, values] :
         {std::pair("mean", state.mean), std::pair("rstd", state.inv_std)}) {
      const auto shape =
          case_.tensors.at(name).at("shape").template get<std::vector<std::int64_t>>();
      check(name, Tensor::from<double>(std::span<const double>(values), Shape(shape)));
    }
  }

  const Case& case_;
  DType dtype_;
  Layout layout_;
  std::string tier_;
  Tensor x_, dy_;
  std::set<std::string> checked_;
};

}  // namespace

void run_row_norm(const Case& c) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    {
      SCOPED_TRACE(fmt::format("f64 {}", name_of(layout)));
      RowNormRun(c, DType::f64, layout, "f64").run();
    }
    for (const std::string& isa : norm::available_isas()) {
      SCOPED_TRACE(fmt::format("f32 {} {}", name_of(layout), isa));
      norm::force_isa(isa);
      RowNormRun(c, DType::f32, layout, "tight").run();
    }
    norm::force_isa("");
  }
}

}  // namespace evenkeel::conformance
