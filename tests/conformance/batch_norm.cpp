// Batch norm cases, against the operators: f64 through the reference, f32 through every instruction
// set in both layouts.
#include <evenkeel/core/memory.h>
#include <evenkeel/norm/batch_norm.h>
#include <evenkeel/norm/isa.h>
#include <gtest/gtest.h>

#include <set>

#include "cases.h"

namespace evenkeel::conformance {
namespace {

/// One way of running a case.
struct Variant {
  DType dtype;
  Layout layout;
  std::string isa, tier;
};

std::vector<Variant> variants() {
  std::vector<Variant> result;
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    result.push_back({DType::f64, layout, "", "f64"});
    for (const std::string& isa : norm::available_isas()) {
      result.push_back({DType::f32, layout, isa, "tight"});
    }
  }
  return result;
}

class BatchNormRun {
 public:
  BatchNormRun(const Case& c, const Variant& v)
      : case_(c),
        variant_(v),
        x_(load("x").to(v.layout)),
        dy_(load("dy").to(v.layout)),
        gamma_(load("gamma")),
        beta_(load("beta")),
        eps_(c.attributes.at("eps")),
        channels_(x_.dim(1)) {
    const auto in = norm::view(std::as_const(x_));
    memory_ = allocate(norm::state_size(in, {}));
    state_ = norm::bind_state({memory_.get(), norm::state_size(in, {})}, in, {});
    workspace_bytes_ = norm::workspace_size(in);
    workspace_ = allocate(workspace_bytes_);
  }

  void run() {
    std::set<std::string> checked;
    if (x_.numel() / channels_ > 1) {
      training(checked);
      running(checked);
    } else {
      EXPECT_THROW(forward_train(x_, nullptr), ShapeError);
    }
    if (case_.has("running_mean_in")) evaluation(checked);
    for (const std::string& name : case_.expected()) {
      EXPECT_TRUE(checked.count(name) == 1) << name << " is expected but was not computed";
    }
  }

 private:
  Tensor load(const std::string& name) const { return case_.input(name, variant_.dtype); }
  norm::Affine affine() const {
    return {norm::ConstVectorView(gamma_), norm::ConstVectorView(beta_)};
  }
  std::span<std::byte> workspace() { return {workspace_.get(), workspace_bytes_}; }

  Tensor forward_train(const Tensor& x, norm::RunningStats* running) {
    Tensor y = Tensor::full(x.shape(), NAN, x.dtype(), x.layout());
    norm::forward_train(norm::view(x), affine(), eps_, running, {}, norm::view(y), state_,
                        workspace());
    return y;
  }

  void check(const std::string& name, const Tensor& got, std::set<std::string>& checked) {
    if (!case_.has(name)) return;
    expect_close(case_, name, got, variant_.tier);
    checked.insert(name);
  }

  void gradients(const std::string& mode, std::set<std::string>& checked) {
    Tensor dx = Tensor::full(x_.shape(), NAN, x_.dtype(), x_.layout());
    Tensor dgamma = gamma_.defined() ? Tensor::zeros({channels_}, x_.dtype()) : Tensor();
    Tensor dbeta = gamma_.defined() ? Tensor::zeros({channels_}, x_.dtype()) : Tensor();
    const auto backward = mode == "train" ? norm::backward_train : norm::backward_infer;
    backward(norm::view(std::as_const(x_)), norm::view(std::as_const(dy_)), affine(), state_, {},
             norm::view(dx), norm::VectorView(dgamma), norm::VectorView(dbeta), std::nullopt,
             workspace());
    check("dx_" + mode, dx, checked);
    if (gamma_.defined()) {
      check("dgamma_" + mode, dgamma, checked);
      check("dbeta_" + mode, dbeta, checked);
    }
  }

  void training(std::set<std::string>& checked) {
    check("y_train", forward_train(x_, nullptr), checked);
    check("batch_mean", Tensor::from<double>(std::span<const double>(state_.mean), {channels_}),
          checked);
    check("batch_var_biased",
          Tensor::from<double>(std::span<const double>(state_.var), {channels_}), checked);
    gradients("train", checked);
  }

  /// running_{mean,var}_after1 from x and _afterK from x_updates, one row per momentum.
  void running(std::set<std::string>& checked) {
    for (const std::string& name : case_.expected()) {
      const std::string prefix = "running_mean_after";
      if (name.rfind(prefix, 0) != 0) continue;
      const std::int64_t updates = std::stoll(name.substr(prefix.size()));
      const std::string var_name = "running_var_after" + std::to_string(updates);
      const Tensor inputs = updates == 1 ? Tensor() : load("x_updates");
      const auto& momenta = case_.attributes.at("momenta");
      for (std::size_t row = 0; row < momenta.size(); ++row) {
        Tensor mean = case_.input("running_mean_in", DType::f64);
        Tensor var = case_.input("running_var_in", DType::f64);
        std::int64_t batches = 0;
        norm::RunningStats stats{mean.span<double>(), var.span<double>(), &batches};
        stats.momentum = momenta[row].is_null() ? std::nullopt
                                                : std::optional(momenta[row].get<double>());
        for (std::int64_t k = 0; k < updates; ++k) {
          const Tensor x = updates == 1 ? x_
                                        : inputs.slice(k, k + 1)
                                              .reshape(inputs.shape().drop(1))
                                              .to(variant_.layout);
          forward_train(x, &stats);
        }
        expect_close(case_, name, mean, variant_.tier, static_cast<std::int64_t>(row));
        expect_close(case_, var_name, var, variant_.tier, static_cast<std::int64_t>(row));
      }
      checked.insert(name);
      checked.insert(var_name);
    }
  }

  void evaluation(std::set<std::string>& checked) {
    const Tensor mean = case_.input("running_mean_in", DType::f64);
    const Tensor var = case_.input("running_var_in", DType::f64);
    Tensor y = Tensor::full(x_.shape(), NAN, x_.dtype(), x_.layout());
    norm::forward_infer(norm::view(std::as_const(x_)), affine(), eps_, mean.span<double>(),
                        var.span<double>(), {}, norm::view(y), &state_, workspace());
    check("y_eval", y, checked);
    gradients("eval", checked);
  }

  const Case& case_;
  const Variant& variant_;
  Tensor x_, dy_, gamma_, beta_;
  double eps_;
  std::int64_t channels_;
  std::shared_ptr<std::byte> memory_, workspace_;
  std::size_t workspace_bytes_ = 0;
  norm::BatchNormState state_;
};

}  // namespace

void run_batch_norm(const Case& c) {
  for (const Variant& v : variants()) {
    SCOPED_TRACE(fmt::format("{} {} {}", name_of(v.dtype), name_of(v.layout), v.isa));
    norm::force_isa(v.isa);
    BatchNormRun(c, v).run();
  }
  norm::force_isa("");
}

}  // namespace evenkeel::conformance
