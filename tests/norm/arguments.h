// The arguments of every function of the batch norm operators, in memory that shows whether any of
// it was written.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::norm::testing {

inline constexpr std::int64_t kN = 3, kC = 5, kS = 4;
inline constexpr std::size_t kValues = kN * kC * kS;

/// All memory of a call, in one block, so that one comparison shows whether any of it was written.
struct Memory {
  alignas(64) float x[kValues], dy[kValues], add[kValues], y[kValues], dx[kValues], dadd[kValues];
  float gamma[kC + 1], beta[kC + 1], dgamma[kC + 1], dbeta[kC + 1];
  double mean[kC + 1], var[kC + 1], count[kC + 1], other_mean[kC + 1], m2[kC + 1];
  double g[kC + 1], centred[kC + 1];
  std::int64_t batches;
  alignas(8) std::byte state[1024];
  alignas(8) std::byte workspace[8192];
};

/// The arguments of all functions, valid until a fault is put in.
struct Arguments {
  std::unique_ptr<Memory> memory = std::make_unique<Memory>();
  ConstChannelView x, dy;
  ChannelView y, dx;
  std::optional<ChannelView> dadd;
  Affine affine;
  double eps = 1e-5;
  RunningStats running;
  std::span<double> mean, var;
  Epilogue epilogue;
  VectorView dgamma, dbeta;
  Moments moments, other;
  GradientSums sums;
  double count = kN * kS;
  BatchNormState state;
  std::span<std::byte> workspace;

  Arguments() {
    Memory& m = *memory;
    float next = 0;
    for (float* values : {m.x, m.dy, m.add, m.y, m.dx, m.dadd}) {
      for (std::size_t i = 0; i < kValues; ++i) values[i] = std::sin(next += 1);
    }
    for (float* values : {m.gamma, m.beta, m.dgamma, m.dbeta}) std::fill_n(values, kC + 1, 0.5F);
    for (double* values : {m.mean, m.other_mean, m.m2, m.g, m.centred, m.var}) {
      std::fill_n(values, kC + 1, 0.5);
    }
    std::fill_n(m.count, kC + 1, 12.0);
    m.batches = 3;
    std::memset(m.state, 0, sizeof m.state);
    std::memset(m.workspace, 0, sizeof m.workspace);
    const auto view_of = [](float* data) {
      return ChannelView{data, DType::f32, Layout::channels_first, kN, kC, kS};
    };
    x = view_of(m.x);
    dy = view_of(m.dy);
    y = view_of(m.y);
    dx = view_of(m.dx);
    dadd = view_of(m.dadd);
    epilogue = {Activation::leaky_relu, 0.1, view_of(m.add)};
    affine = {ConstVectorView(std::span<const float>(m.gamma, kC)),
              ConstVectorView(std::span<const float>(m.beta, kC))};
    dgamma = VectorView(std::span(m.dgamma, kC));
    dbeta = VectorView(std::span(m.dbeta, kC));
    mean = {m.mean, kC};
    var = {m.var, kC};
    running.mean = mean;
    running.var = var;
    running.batches = &m.batches;
    moments = {{m.count, kC}, {m.other_mean, kC}, {m.m2, kC}};
    other = moments;
    sums = {{m.g, kC}, {m.centred, kC}};
    state = bind_state(m.state, x, epilogue);
    std::ranges::fill(state.inv_std, 1.0);
    workspace = m.workspace;
  }
};

using Call = std::function<void(Arguments&)>;

/// By name; each runs on valid arguments.
inline const std::vector<std::pair<std::string, Call>>& functions() {
  static const std::vector<std::pair<std::string, Call>> table{
      {"forward_train",
       [](Arguments& a) {
         forward_train(a.x, a.affine, a.eps, &a.running, a.epilogue, a.y, a.state, a.workspace);
       }},
      {"forward_infer",
       [](Arguments& a) {
         forward_infer(a.x, a.affine, a.eps, a.mean, a.var, a.epilogue, a.y, &a.state, a.workspace);
       }},
      {"backward_train",
       [](Arguments& a) {
         backward_train(a.x, a.dy, a.affine, a.state, a.epilogue, a.dx, a.dgamma, a.dbeta, a.dadd,
                        a.workspace);
       }},
      {"backward_infer",
       [](Arguments& a) {
         backward_infer(a.x, a.dy, a.affine, a.state, a.epilogue, a.dx, a.dgamma, a.dbeta, a.dadd,
                        a.workspace);
       }},
      {"collect", [](Arguments& a) { collect(a.x, a.moments, a.workspace); }},
      {"combine", [](Arguments& a) { combine(a.moments, a.other); }},
      {"finalize", [](Arguments& a) { finalize(a.moments, a.eps, a.state); }},
      {"update_running", [](Arguments& a) { update_running(a.state, a.count, a.running); }},
      {"normalize",
       [](Arguments& a) { normalize(a.x, a.state, a.affine, a.epilogue, a.y, a.workspace); }},
      {"reduce_gradients",
       [](Arguments& a) { reduce_gradients(a.x, a.dy, a.state, a.epilogue, a.sums, a.workspace); }},
      {"accumulate_affine_gradients",
       [](Arguments& a) { accumulate_affine_gradients(a.state, a.sums, a.dgamma, a.dbeta); }},
      {"propagate",
       [](Arguments& a) {
         propagate(a.x, a.dy, a.state, a.affine, a.epilogue, a.sums, a.count, a.dx, a.dadd,
                   a.workspace);
       }},
      {"state_size", [](Arguments& a) { (void)state_size(a.x, a.epilogue); }},
      {"bind_state", [](Arguments& a) { (void)bind_state(a.memory->state, a.x, a.epilogue); }},
      {"workspace_size", [](Arguments& a) { (void)workspace_size(a.x); }},
  };
  return table;
}

}  // namespace evenkeel::norm::testing
