// More than 2^31 elements: whole operations against the same phases on pieces that are small.
#include <chrono>
#include <fstream>
#include <iostream>

#include <gtest/gtest.h>

#include "support.h"
#include <evenkeel/core/parallel.h>

namespace evenkeel::norm::testing {
namespace {

constexpr std::int64_t kElements = (std::int64_t{1} << 31) + 7;  // 3·3·5·131·364289
constexpr std::int64_t kPiece = 4 << 20;                         // elements generated at a time

/// Values that differ everywhere, about a mean of 3: cheap, and a function of the place alone.
float x_at(std::int64_t i) {
  const std::uint64_t bits = static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15u;
  return 3.0F + static_cast<float>(static_cast<std::int32_t>(bits >> 40) - (1 << 23)) * 0x1p-22F;
}
float dy_at(std::int64_t i) { return x_at(i + kElements) - 3.0F; }

template <class F>
void fill(float* out, std::int64_t begin, std::int64_t count, F&& f) {
  parallel_ranges(count, 1 << 16, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to; ++i) out[i] = f(begin + i);
  });
}

std::int64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    std::int64_t kib = 0;
    if (word == "MemAvailable:" && file >> kib) return kib * 1024;
  }
  return 0;
}

struct Geometry {
  std::int64_t n, c, s;
  Layout layout;

  ConstChannelView view(const float* data) const { return {data, DType::f32, layout, n, c, s}; }
  ChannelView view(float* data) const { return {data, DType::f32, layout, n, c, s}; }
};

/// A piece that is a tensor of its own, and where it lies in the whole.
struct Piece {
  std::int64_t begin, count;  // elements
  std::int64_t c0, c1;        // channels
  Geometry geometry;
  std::int64_t mask_begin, mask_bytes;
};

/// f(piece) for pieces that make up the tensor: parts of one channel's row, or some rows.
template <class F>
void for_each_piece(const Geometry& g, F&& f) {
  if (g.layout == Layout::channels_last) {
    const std::int64_t rows = g.n * g.s, some = kPiece / g.c, row_bytes = (g.c + 7) / 8;
    for (std::int64_t r = 0; r < rows; r += some) {
      const std::int64_t count = std::min(some, rows - r);
      f(Piece{r * g.c,
              count * g.c,
              0,
              g.c,
              {count, g.c, 1, g.layout},
              r * row_bytes,
              count * row_bytes});
    }
    return;
  }
  for (std::int64_t row = 0; row < g.n * g.c; ++row) {
    for (std::int64_t i = 0; i < g.s; i += kPiece) {
      const std::int64_t count = std::min(kPiece, g.s - i);
      const std::int64_t c = row % g.c;
      f(Piece{row * g.s + i,
              count,
              c,
              c + 1,
              {1, 1, count, g.layout},
              row * ((g.s + 7) / 8) + i / 8,
              (count + 7) / 8});
    }
  }
}

/// Memory for whole operations and for pieces.
class Huge {
 public:
  explicit Huge(const Geometry& geometry)
      : g(geometry),
        gamma(random_normal({g.c}, 1, 1, 0.3)),
        beta(random_normal({g.c}, 2, 0, 0.3)),
        state_memory_(state_size(g.view(static_cast<float*>(nullptr)), relu)),
        workspace_(workspace_size(g.view(static_cast<float*>(nullptr)))),
        piece_workspace_(workspace_size({nullptr, DType::f32, g.layout, kPiece / g.c + 1, g.c, 1}) +
                         workspace_size({nullptr, DType::f32, g.layout, 1, 1, kPiece})),
        piece_state_(static_cast<std::size_t>(kPiece)),
        state(bind_state(state_memory_, g.view(static_cast<float*>(nullptr)), relu)) {}

  Affine affine() const { return {ConstVectorView(gamma), ConstVectorView(beta)}; }
  std::span<std::byte> workspace() { return workspace_; }
  std::span<std::byte> piece_workspace() { return piece_workspace_; }

  /// The channels' part of the state, with room for the piece's own mask.
  BatchNormState state_of(const Piece& p) {
    const auto part = [&](std::span<double> values) {
      return values.subspan(static_cast<std::size_t>(p.c0), static_cast<std::size_t>(p.c1 - p.c0));
    };
    return {part(state.mean),
            part(state.var),
            part(state.inv_std),
            {reinterpret_cast<std::uint8_t*>(piece_state_.data()), piece_state_.size()}};
  }
  Affine affine_of(const Piece& p) const {
    const auto part = [&](const Tensor& values) {
      return ConstVectorView(values.span<float>().subspan(static_cast<std::size_t>(p.c0),
                                                          static_cast<std::size_t>(p.c1 - p.c0)));
    };
    return {part(gamma), part(beta)};
  }
  bool same_mask(const Piece& p, const BatchNormState& piece) const {
    return std::memcmp(piece.mask.data(), state.mask.data() + p.mask_begin,
                       static_cast<std::size_t>(p.mask_bytes)) == 0;
  }

  Geometry g;
  Epilogue relu{Activation::relu, 0, std::nullopt};
  Tensor gamma, beta;

 private:
  std::vector<std::byte> state_memory_, workspace_, piece_workspace_, piece_state_;

 public:
  BatchNormState state;
};

bool same(const float* a, const float* b, std::int64_t count) {
  return std::memcmp(a, b, static_cast<std::size_t>(count) * sizeof(float)) == 0;
}

class HugeLong : public ::testing::TestWithParam<Layout> {
 protected:
  HugeLong() {
    // Few and many channels: offsets pass 2^31 within a channel here, between channels there.
    geometry_ = GetParam() == Layout::channels_first
                    ? Geometry{9, 5, 131 * 364289LL, Layout::channels_first}
                    : Geometry{9, 5 * 131, 364289, Layout::channels_last};
    EXPECT_EQ(geometry_.n * geometry_.c * geometry_.s, kElements);
  }

  /// Whether `tensors` of 8.6 GB fit; says why where they do not.
  static bool fits(int tensors) {
    const std::int64_t wanted = tensors * kElements * 4 + (std::int64_t{1} << 30);
    if (available_memory() >= wanted) return true;
    std::cout << "needs " << wanted / 1000000 << " MB of memory, there are "
              << available_memory() / 1000000 << "\n";
    return false;
  }

  void expect_statistics(Huge& huge);

  Geometry geometry_;
  std::vector<float> piece_ = std::vector<float>(kPiece), out_ = std::vector<float>(kPiece);
};

INSTANTIATE_TEST_SUITE_P(Layouts, HugeLong,
                         ::testing::Values(Layout::channels_first, Layout::channels_last),
                         [](const auto& one) { return std::string(name_of(one.param)); });

/// The state's statistics against those of the pieces, combined.
void HugeLong::expect_statistics(Huge& huge) {
  const auto channels = static_cast<std::size_t>(geometry_.c);
  std::vector<double> count(channels), mean(channels), m2(channels);
  std::vector<double> part_count(channels), part_mean(channels), part_m2(channels);
  for_each_piece(geometry_, [&](const Piece& p) {
    fill(piece_.data(), p.begin, p.count, x_at);
    const auto size = static_cast<std::size_t>(p.c1 - p.c0);
    const auto first = static_cast<std::size_t>(p.c0);
    const auto of = [&](std::vector<double>& v, std::size_t at) {
      return std::span(v).subspan(at, size);
    };
    const Moments part{of(part_count, 0), of(part_mean, 0), of(part_m2, 0)};
    collect(p.geometry.view(std::as_const(piece_).data()), part, huge.piece_workspace());
    combine({of(count, first), of(mean, first), of(m2, first)}, part);
  });
  for (std::size_t c = 0; c < channels; ++c) {
    EXPECT_EQ(count[c], static_cast<double>(geometry_.n * geometry_.s));
    // Other pieces are measured from other centres: their f32 sums round differently.
    EXPECT_NEAR(huge.state.mean[c], mean[c], 1e-8);
    EXPECT_NEAR(huge.state.var[c], m2[c] / count[c], 1e-7);
  }
}

TEST_P(HugeLong, ForwardEqualsItsPieces) {
  if (!fits(1)) GTEST_SKIP() << "too little memory";
  Huge huge(geometry_);
  std::vector<float> x(static_cast<std::size_t>(kElements));
  fill(x.data(), 0, kElements, x_at);
  forward_train(geometry_.view(std::as_const(x).data()), huge.affine(), 1e-5, nullptr, huge.relu,
                geometry_.view(x.data()), huge.state, huge.workspace());
  expect_statistics(huge);
  const auto expect_pieces = [&] {
    for_each_piece(geometry_, [&](const Piece& p) {
      fill(piece_.data(), p.begin, p.count, x_at);
      BatchNormState state = huge.state_of(p);
      normalize(p.geometry.view(std::as_const(piece_).data()), state, huge.affine_of(p), huge.relu,
                p.geometry.view(out_.data()), huge.piece_workspace());
      ASSERT_TRUE(same(out_.data(), x.data() + p.begin, p.count)) << "at " << p.begin;
      ASSERT_TRUE(huge.same_mask(p, state)) << "at " << p.begin;
    });
  };
  expect_pieces();

  // The same with constants: mean and variance of the batch give the same bits.
  const std::vector<double> mean(huge.state.mean.begin(), huge.state.mean.end());
  const std::vector<double> var(huge.state.var.begin(), huge.state.var.end());
  fill(x.data(), 0, kElements, x_at);
  std::ranges::fill(huge.state.mask, std::uint8_t{0});
  forward_infer(geometry_.view(std::as_const(x).data()), huge.affine(), 1e-5, mean, var, huge.relu,
                geometry_.view(x.data()), &huge.state, huge.workspace());
  expect_pieces();
}

TEST_P(HugeLong, BackwardEqualsItsPieces) {
  if (!fits(2)) GTEST_SKIP() << "too little memory";
  Huge huge(geometry_);
  std::vector<float> x(static_cast<std::size_t>(kElements)),
      dy(static_cast<std::size_t>(kElements));
  const auto in = geometry_.view(std::as_const(x).data());
  const auto gradient = geometry_.view(std::as_const(dy).data());
  fill(x.data(), 0, kElements, x_at);
  forward_train(in, huge.affine(), 1e-5, nullptr, huge.relu, geometry_.view(dy.data()), huge.state,
                huge.workspace());
  const auto channels = static_cast<std::size_t>(geometry_.c);
  for (const bool train : {true, false}) {
    fill(dy.data(), 0, kElements, dy_at);
    std::vector<double> dgamma(channels), dbeta(channels), g(channels), centred(channels);
    (train ? backward_train : backward_infer)(
        in, gradient, huge.affine(), huge.state, huge.relu, geometry_.view(dy.data()),
        VectorView(std::span(dgamma)), VectorView(std::span(dbeta)), std::nullopt,
        huge.workspace());

    std::vector<float> dy_piece(kPiece);
    const auto load = [&](const Piece& p, BatchNormState& state) {
      fill(piece_.data(), p.begin, p.count, x_at);
      fill(dy_piece.data(), p.begin, p.count, dy_at);
      std::memcpy(state.mask.data(), huge.state.mask.data() + p.mask_begin,
                  static_cast<std::size_t>(p.mask_bytes));
    };
    for_each_piece(geometry_, [&](const Piece& p) {
      BatchNormState state = huge.state_of(p);
      load(p, state);
      const auto size = static_cast<std::size_t>(p.c1 - p.c0);
      std::vector<double> part(size), part_centred(size);
      reduce_gradients(p.geometry.view(std::as_const(piece_).data()),
                       p.geometry.view(std::as_const(dy_piece).data()), state, huge.relu,
                       {part, part_centred}, huge.piece_workspace());
      for (std::size_t k = 0; k < size; ++k) {
        g[static_cast<std::size_t>(p.c0) + k] += part[k];
        centred[static_cast<std::size_t>(p.c0) + k] += part_centred[k];
      }
    });
    // The f32 sums of a block are cut differently at the seams of the pieces; the rest is double.
    const double values = static_cast<double>(geometry_.n * geometry_.s);
    for (std::size_t c = 0; c < channels; ++c) {
      EXPECT_NEAR(dbeta[c] / values, g[c] / values, 1e-8);
      EXPECT_NEAR(dgamma[c] / values, centred[c] * huge.state.inv_std[c] / values, 1e-8);
    }
    // dx with the sums of the whole, which dγ and dβ give back, is elementwise.
    float worst = 0;
    for_each_piece(geometry_, [&](const Piece& p) {
      BatchNormState state = huge.state_of(p);
      load(p, state);
      const auto size = static_cast<std::size_t>(p.c1 - p.c0);
      std::vector<double> of_whole(size), of_whole_centred(size);
      for (std::size_t k = 0; k < size; ++k) {
        const std::size_t c = static_cast<std::size_t>(p.c0) + k;
        of_whole[k] = dbeta[c];
        of_whole_centred[k] = dgamma[c] / huge.state.inv_std[c];
      }
      propagate(p.geometry.view(std::as_const(piece_).data()),
                p.geometry.view(std::as_const(dy_piece).data()), state, huge.affine_of(p),
                huge.relu, {of_whole, of_whole_centred}, train ? values : 0.0,
                p.geometry.view(out_.data()), std::nullopt, huge.piece_workspace());
      for (std::int64_t i = 0; i < p.count; ++i) {
        worst = std::max(worst, std::abs(out_[static_cast<std::size_t>(i)] -
                                         dy[static_cast<std::size_t>(p.begin + i)]));
      }
    });
    // dγ/inv_std rounds twice on its way back to the sum: no more than the last place of dx.
    EXPECT_LE(worst, 2e-7F) << (train ? "training" : "constant statistics");
  }
}

}  // namespace
}  // namespace evenkeel::norm::testing
