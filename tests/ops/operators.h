// Every operator of the room with arguments that fit, as tests take them apart.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "ops/testing.h"
#include <evenkeel/ops/activation.h>
#include <evenkeel/ops/conv.h>
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/linear.h>
#include <evenkeel/ops/loss.h>
#include <evenkeel/ops/pool.h>

namespace evenkeel::ops::testing {

struct Slot {
  std::string name;
  Tensor tensor;
  bool output = false;
  bool optional = false;         // may be undefined
  std::vector<int> free_dims{};  // extents that nothing else depends on; the layout is free as well
  std::vector<std::string> may_be{};  // inputs whose memory this output may take

  Slot& maybe() {
    optional = true;
    return *this;
  }
  Slot& free(std::vector<int> dims) {
    free_dims = std::move(dims);
    return *this;
  }
};

inline Slot in(std::string name, Tensor tensor) { return {std::move(name), std::move(tensor)}; }
inline Slot out(std::string name, Tensor tensor, std::vector<std::string> may_be = {}) {
  return {std::move(name), std::move(tensor), true, false, {}, std::move(may_be)};
}

struct Operator {
  std::string name;
  std::vector<Slot> slots;
  std::function<void(std::vector<Tensor>&)> run;  ///< on tensors in the order of the slots

  std::vector<Tensor> tensors() const {
    std::vector<Tensor> result;
    for (const Slot& slot : slots) result.push_back(slot.tensor.clone());
    return result;
  }
};

/// f32; maps of features in `layout`. Samples have an odd number of values.
inline std::vector<Operator> operators(Layout layout) {
  const auto maps = [&](const Shape& shape, std::uint64_t seed) {
    return random_tensor(shape, DType::f32, layout, seed);
  };
  const auto plain = [](const Shape& shape, std::uint64_t seed) {
    return random_tensor(shape, DType::f32, Layout::channels_first, seed);
  };
  const Shape whole{2, 3, 5, 7}, same{2, 5, 5, 7}, pooled{2, 3, 3, 5};
  std::vector<Operator> list;
  for (const auto& [kind, label] :
       {std::pair(ActivationKind::relu, "relu"),
        std::pair(ActivationKind::leaky_relu, "leaky_relu"),
        std::pair(ActivationKind::sigmoid, "sigmoid"), std::pair(ActivationKind::tanh, "tanh")}) {
    list.push_back({fmt::format("{} forward", label),
                    {in("x", maps(whole, 1)), out("y", maps(whole, 2), {"x"})},
                    [kind = kind](auto& t) { activation_forward(kind, t[0], t[1], 0.1); }});
    list.push_back({fmt::format("{} backward", label),
                    {in("y", maps(whole, 1)), in("dy", maps(whole, 2)),
                     out("dx", maps(whole, 3), {"y", "dy"})},
                    [kind = kind](auto& t) { activation_backward(kind, t[0], t[1], t[2], 0.1); }});
  }
  list.push_back(
      {"add",
       {in("a", maps(whole, 1)), in("b", maps(whole, 2)), out("y", maps(whole, 3), {"a", "b"})},
       [](auto& t) { add(t[0], t[1], t[2]); }});
  list.push_back({"accumulate",
                  {in("a", maps(whole, 1)), out("y", maps(whole, 2), {})},
                  [](auto& t) { accumulate(t[0], t[1]); }});
  list.push_back({"dropout forward",
                  {in("x", maps(whole, 1)), out("mask", Tensor::zeros(whole, DType::u8, layout)),
                   out("y", maps(whole, 2), {"x"})},
                  [](auto& t) {
                    Random random(5);
                    dropout_forward(t[0], 0.4, random, t[1], t[2]);
                  }});
  list.push_back({"dropout backward",
                  {in("dy", maps(whole, 1)), in("mask", Tensor::full(whole, 1, DType::u8, layout)),
                   out("dx", maps(whole, 2), {"dy"})},
                  [](auto& t) { dropout_backward(t[0], t[1], 0.4, t[2]); }});
  list.push_back({"concat",
                  {in("part", maps(whole, 1)), in("part", maps(same, 2)),
                   in("part", maps({2, 1, 5, 7}, 3)), out("y", maps({2, 9, 5, 7}, 4))},
                  [](auto& t) { concat_channels(std::span<const Tensor>(t).first(3), t[3]); }});
  list.push_back({"split",
                  {out("part", maps(whole, 1)), out("part", maps(same, 2)),
                   out("part", maps({2, 1, 5, 7}, 3)), in("y", maps({2, 9, 5, 7}, 4))},
                  [](auto& t) { split_channels(t[3], std::span<Tensor>(t).first(3)); }});
  list.push_back({"linear forward",
                  {in("x", plain({3, 5}, 1)), in("weight", plain({7, 5}, 2)),
                   in("bias", plain({7}, 3)).maybe(), out("y", plain({3, 7}, 4))},
                  [](auto& t) { linear_forward(t[0], t[1], t[2], t[3]); }});
  list.push_back(
      {"linear backward data",
       {in("dy", plain({3, 7}, 1)), in("weight", plain({7, 5}, 2)), out("dx", plain({3, 5}, 3))},
       [](auto& t) { linear_backward_data(t[0], t[1], t[2]); }});
  list.push_back({"linear backward weight",
                  {in("x", plain({3, 5}, 1)), in("dy", plain({3, 7}, 2)),
                   out("dweight", plain({7, 5}, 3)), out("dbias", plain({7}, 4)).maybe()},
                  [](auto& t) { linear_backward_weight(t[0], t[1], t[2], t[3]); }});
  const ConvOptions conv{{1, 1}, {1, 1}, {1, 1}, 1};
  const Shape weight{5, 3, 3, 3};
  list.push_back({"conv forward",
                  {in("x", maps(whole, 1)), in("weight", plain(weight, 2)),
                   in("bias", plain({5}, 3)).maybe(), out("y", maps(same, 4))},
                  [conv](auto& t) { conv_forward(t[0], t[1], t[2], conv, t[3]); }});
  list.push_back(
      {"conv backward data",
       {in("dy", maps(same, 1)), in("weight", plain(weight, 2)), out("dx", maps(whole, 3))},
       [conv](auto& t) { conv_backward_data(t[0], t[1], conv, t[2]); }});
  list.push_back({"conv backward weight",
                  {in("x", maps(whole, 1)), in("dy", maps(same, 2)),
                   out("dweight", plain(weight, 3)), out("dbias", plain({5}, 4)).maybe()},
                  [conv](auto& t) { conv_backward_weight(t[0], t[1], conv, t[2], t[3]); }});
  const ConvOptions deep{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1};
  const Shape volume{2, 3, 3, 3, 5}, volume_same{2, 5, 3, 3, 5}, volume_weight{5, 3, 3, 3, 3};
  list.push_back({"conv of volumes forward",
                  {in("x", maps(volume, 1)), in("weight", plain(volume_weight, 2)),
                   in("bias", plain({5}, 3)).maybe(), out("y", maps(volume_same, 4))},
                  [deep](auto& t) { conv_forward(t[0], t[1], t[2], deep, t[3]); }});
  list.push_back({"conv of volumes backward data",
                  {in("dy", maps(volume_same, 1)), in("weight", plain(volume_weight, 2)),
                   out("dx", maps(volume, 3))},
                  [deep](auto& t) { conv_backward_data(t[0], t[1], deep, t[2]); }});
  list.push_back({"conv of volumes backward weight",
                  {in("x", maps(volume, 1)), in("dy", maps(volume_same, 2)),
                   out("dweight", plain(volume_weight, 3)), out("dbias", plain({5}, 4)).maybe()},
                  [deep](auto& t) { conv_backward_weight(t[0], t[1], deep, t[2], t[3]); }});
  const PoolOptions pool{{3, 3, 3}, {1, 1, 1}, {0, 0, 0}, true};
  const Shape volume_pooled{2, 3, 1, 1, 3};
  list.push_back({"max pool of volumes forward",
                  {in("x", maps(volume, 1)), out("y", maps(volume_pooled, 2))},
                  [pool](auto& t) { pool_forward(PoolKind::max, t[0], pool, t[1]); }});
  list.push_back({"max pool forward",
                  {in("x", maps(whole, 1)), out("y", maps(pooled, 2))},
                  [pool](auto& t) { pool_forward(PoolKind::max, t[0], pool, t[1]); }});
  Tensor y = Tensor::empty(pooled, DType::f32, layout);
  list.push_back({"max pool backward",
                  {in("dy", maps(pooled, 1)),
                   in("memory", pool_forward(PoolKind::max, maps(whole, 1), pool, y)),
                   out("dx", maps(whole, 2))},
                  [pool](auto& t) { pool_backward(PoolKind::max, t[0], t[1], pool, t[2]); }});
  list.push_back({"average pool forward",
                  {in("x", maps(whole, 1)), out("y", maps(pooled, 2))},
                  [pool](auto& t) { pool_forward(PoolKind::average, t[0], pool, t[1]); }});
  list.push_back({"average pool backward",
                  {in("dy", maps(pooled, 1)), out("dx", maps(whole, 2))},
                  [pool](auto& t) { pool_backward(PoolKind::average, t[0], {}, pool, t[1]); }});
  list.push_back({"global average forward",
                  {in("x", maps(whole, 1)).free({2, 3}), out("y", plain({2, 3}, 2))},
                  [](auto& t) { global_average_pool_forward(t[0], t[1]); }});
  list.push_back({"global average backward",
                  {in("dy", plain({2, 3}, 1)), out("dx", maps(whole, 2)).free({2, 3})},
                  [](auto& t) { global_average_pool_backward(t[0], t[1]); }});
  list.push_back({"softmax",
                  {in("logits", plain({3, 5}, 1)), out("p", plain({3, 5}, 2), {"logits"})},
                  [](auto& t) { softmax(t[0], t[1]); }});
  list.push_back(
      {"cross-entropy",
       {in("logits", plain({3, 5}, 1)), out("dlogits", plain({3, 5}, 2), {"logits"}).maybe()},
       [](auto& t) {
         const std::vector<std::int32_t> labels{0, 4, 2};
         softmax_cross_entropy(t[0], labels, 0.1, &t[1]);
       }});
  list.push_back({"mean squared error",
                  {in("y", maps(whole, 1)), in("target", maps(whole, 2)),
                   out("dy", maps(whole, 3), {"y", "target"}).maybe()},
                  [](auto& t) { mean_squared_error(t[0], t[1], &t[2]); }});
  return list;
}

}  // namespace evenkeel::ops::testing
