// Scaled dot-product attention of sequences with themselves (Vaswani et al. 2017, equation 1).
#pragma once

#include <cstdint>
#include <span>

#include <evenkeel/core/tensor.h>

namespace evenkeel::ops {

// Sequences lie one after the other as rows, without padding: sequence s is the rows
// [starts[s], starts[s + 1]), and starts begins with 0 and ends with the number of rows. `qkv`
// [rows, 3E] holds queries, keys and values side by side, each E = heads·d wide, head after head.
// The weights of all heads of all sequences lie in one tensor of rank 1: for each sequence of L
// rows and each head [L, L], a row of it per query. All tensors f32 or all f64; f32 products run
// through oneDNN, f64 through plain loops. Errors: ShapeError where sizes do not fit, UsageError
// for memory that overlaps, before anything is written. The same bits for any number of threads.

/// Elements of `weights`: heads·ΣL².
std::int64_t attention_weight_count(std::span<const std::int64_t> starts, std::int64_t heads);
/// Overwrites weights with softmax(q·kᵀ/√d).
void attention_weights(const Tensor& qkv, std::span<const std::int64_t> starts, std::int64_t heads,
                       Tensor& weights);
/// Overwrites y [rows, E] with weights·v.
void attention_mix(const Tensor& weights, const Tensor& qkv, std::span<const std::int64_t> starts,
                   std::int64_t heads, Tensor& y);
/// Gradients of attention_mix: overwrites dweights and the values' part of dqkv.
void attention_mix_backward(const Tensor& weights, const Tensor& qkv, const Tensor& dy,
                            std::span<const std::int64_t> starts, std::int64_t heads,
                            Tensor& dweights, Tensor& dqkv);
/// Gradients of attention_weights: overwrites the queries' and keys' parts of dqkv. dweights is
/// used as scratch and means nothing afterwards.
void attention_weights_backward(const Tensor& weights, const Tensor& qkv, Tensor& dweights,
                                std::span<const std::int64_t> starts, std::int64_t heads,
                                Tensor& dqkv);

}  // namespace evenkeel::ops
