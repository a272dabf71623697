#include "ops/onednn/gemm.h"

#include <algorithm>

#include "ops/onednn/gemm_tiles.h"
#include "ops/onednn/runtime.h"

namespace evenkeel::ops::onednn {

void gemm(std::string_view op, std::int64_t m, std::int64_t n, std::int64_t k, Operand a, Operand b,
          float* c, bool accumulate, const float* bias) {
  if (m == 0 || n == 0) return;
  GemmTiles(m, n, k).for_each([&](const GemmTile& tile) {
    const auto [row, rows, column, columns] = tile;
    float* out = c + row * n + column;
    if (bias != nullptr) {
      for (std::int64_t r = 0; r < rows; ++r) {
        std::copy(bias + column, bias + column + columns, out + r * n);
      }
    }
    const bool add = accumulate || bias != nullptr;
    if (k == 0) {
      for (std::int64_t r = 0; r < rows && !add; ++r) std::fill_n(out + r * n, columns, 0.0f);
      return;
    }
    const float* from_a = a.data + (a.transposed ? row : row * a.stride);
    const float* from_b = b.data + (b.transposed ? column * b.stride : column);
    const ThreadScope one_thread(1);
    const auto status =
        dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', rows, columns, k, 1.0f,
                   from_a, a.stride, from_b, b.stride, add ? 1.0f : 0.0f, out, n);
    if (status != dnnl_success) {
      fail<Error>("[{}] oneDNN could not run it: sgemm failed (status {})", op,
                  static_cast<int>(status));
    }
  });
}

}  // namespace evenkeel::ops::onednn
