// Products of bf16 matrices, which oneDNN offers as a primitive and not as a function: one is made
// per shape of tile and kept.
#include <unordered_map>

#include "ops/onednn/cache.h"
#include "ops/onednn/gemm.h"
#include "ops/onednn/gemm_tiles.h"
#include "ops/onednn/runtime.h"
#include <evenkeel/core/memory.h>

namespace evenkeel::ops::onednn {
namespace {

using Memory = dnnl::memory;
using Type = Memory::data_type;

constexpr std::size_t kCachedProducts = 256;

/// All that distinguishes one product of a tile from another.
struct ProductShape {
  std::int64_t m, n, k;
  std::int64_t a_stride, b_stride, c_stride;
  bool a_transposed, b_transposed;
  bool to_f32, accumulate, with_bias;

  Key key() const {
    const int flags = (a_transposed ? 1 : 0) + (b_transposed ? 2 : 0) + (to_f32 ? 4 : 0) +
                      (accumulate ? 8 : 0) + (with_bias ? 16 : 0);
    return {m, n, k, a_stride, b_stride, c_stride, flags};
  }
};

struct Product {
  dnnl::matmul primitive;
  Memory::desc a, b, c, bias, scratchpad;
};

Memory::desc desc_of(std::int64_t rows, std::int64_t columns, Type type, std::int64_t stride,
                     bool transposed) {
  const Memory::dims strides = transposed ? Memory::dims{1, stride} : Memory::dims{stride, 1};
  return {{rows, columns}, type, strides};
}

std::shared_ptr<const Product> make(const ProductShape& s) {
  Product product;
  product.a = desc_of(s.m, s.k, Type::bf16, s.a_stride, s.a_transposed);
  product.b = desc_of(s.k, s.n, Type::bf16, s.b_stride, s.b_transposed);
  product.c = desc_of(s.m, s.n, s.to_f32 ? Type::f32 : Type::bf16, s.c_stride, false);
  if (s.with_bias) product.bias = {{1, s.n}, Type::f32, Memory::format_tag::ab};
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (s.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1);
    attributes.set_post_ops(sum);
  }
  const auto desc = s.with_bias ? dnnl::matmul::desc(product.a, product.b, product.bias, product.c)
                                : dnnl::matmul::desc(product.a, product.b, product.c);
  const dnnl::matmul::primitive_desc made(desc, attributes, engine());
  product.scratchpad = made.scratchpad_desc();
  product.primitive = dnnl::matmul(made);
  return std::make_shared<const Product>(std::move(product));
}

std::shared_ptr<const Product> product_of(const ProductShape& shape) {
  static auto* const products = new Cache<Product>(kCachedProducts);
  return products->get(shape.key(), [&] { return make(shape); });
}

}  // namespace

template <class C>
void gemm(std::string_view op, std::int64_t m, std::int64_t n, std::int64_t k, Bf16Operand a,
          Bf16Operand b, C* c, bool accumulate, const float* bias) {
  GemmTiles(m, n, k).for_each([&](const GemmTile& tile) {
    translate_errors(op, [&] {
      const ThreadScope one_thread(1);
      const auto product =
          product_of({tile.rows, tile.columns, k, a.stride, b.stride, n, a.transposed, b.transposed,
                      sizeof(C) == sizeof(float), accumulate, bias != nullptr});
      const bf16* from_a = a.data + (a.transposed ? tile.row : tile.row * a.stride);
      const bf16* from_b = b.data + (b.transposed ? tile.column * b.stride : tile.column);
      const auto scratch = allocate(product->scratchpad.get_size());
      std::unordered_map<int, Memory> arguments{
          {DNNL_ARG_SRC, memory_at(product->a, from_a)},
          {DNNL_ARG_WEIGHTS, memory_at(product->b, from_b)},
          {DNNL_ARG_DST, memory_at(product->c, c + tile.row * n + tile.column)},
          {DNNL_ARG_SCRATCHPAD, memory_at(product->scratchpad, scratch.get())}};
      if (bias != nullptr) {
        arguments.emplace(DNNL_ARG_BIAS, memory_at(product->bias, bias + tile.column));
      }
      product->primitive.execute(stream(), arguments);
    });
  });
}

template void gemm(std::string_view, std::int64_t, std::int64_t, std::int64_t, Bf16Operand,
                   Bf16Operand, float*, bool, const float*);
template void gemm(std::string_view, std::int64_t, std::int64_t, std::int64_t, Bf16Operand,
                   Bf16Operand, bf16*, bool, const float*);

}  // namespace evenkeel::ops::onednn
