// The cutting of work, at sizes that no memory holds: every value in exactly one block, nothing
// overflows (run with UndefinedBehaviorSanitizer to see that).
#include "norm/cut.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::norm::testing {
namespace {

ConstChannelView view_of(std::int64_t n, std::int64_t c, std::int64_t s, Layout layout) {
  return {nullptr, DType::f32, layout, n, c, s};
}

rc::Gen<Layout> layouts() {
  return rc::gen::element(Layout::channels_first, Layout::channels_last);
}

RC_GTEST_PROP(Cut, BlocksCoverEveryValueOfAChannelOnce, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(0, 70);
  const auto s = *rc::gen::element<std::int64_t>(0, 1, 2, 7, 63, 64, 65, 1023, 1024, 1025, 2500);
  const Cut cut(view_of(n, 3, s, *layouts()), *rc::gen::arbitrary<bool>());
  std::vector<int> seen(static_cast<std::size_t>(cut.rows * cut.s), 0);
  for (std::int64_t group = 0; group < cut.groups; ++group) {
    for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
      const Block block = cut.block(b);
      for (std::int64_t row = block.row0; row < block.row1; ++row) {
        for (std::int64_t i = block.s0; i < block.s1; ++i) {
          ++seen[static_cast<std::size_t>(row * cut.s + i)];
        }
      }
    }
  }
  for (const int times : seen) RC_ASSERT(times == 1);
}

/// A shape with up to 2^59 elements, spread over its extents in any way.
ConstChannelView huge_view() {
  const int total = 56 - *rc::gen::inRange(0, 30);
  const int first = *rc::gen::inRange(0, total + 1);
  const int second = *rc::gen::inRange(0, total - first + 1);
  const auto extent = [](int bits) {
    const std::int64_t base = std::int64_t{1} << bits;
    return base + *rc::gen::inRange<std::int64_t>(0, base);
  };
  return view_of(extent(first), extent(second), extent(total - first - second), *layouts());
}

RC_GTEST_PROP(Cut, BlocksOfHugeTensorsFollowEachOther, ()) {
  const ConstChannelView x = huge_view();
  const Cut cut(x, *rc::gen::arbitrary<bool>());
  RC_ASSERT(cut.rows * cut.s == x.count());
  RC_ASSERT(cut.groups <= Cut::kMaxGroups);
  RC_ASSERT(cut.group_begin(0) == 0);
  RC_ASSERT(cut.group_end(cut.groups - 1) == cut.blocks);
  for (std::int64_t g = 1; g < cut.groups; ++g) {
    RC_ASSERT(cut.group_begin(g) == cut.group_end(g - 1));
    RC_ASSERT(cut.group_begin(g) < cut.group_end(g));
  }
  const Block first = cut.block(0);
  RC_ASSERT(first.row0 == 0 && first.s0 == 0);
  const Block last = cut.block(cut.blocks - 1);
  RC_ASSERT(last.row1 == cut.rows && last.s1 == cut.s);
  for (int i = 0; i < 20 && cut.blocks > 1; ++i) {
    const auto b = *rc::gen::inRange<std::int64_t>(0, cut.blocks - 1);
    const Block here = cut.block(b), next = cut.block(b + 1);
    RC_ASSERT(here.count() > 0);
    const bool same_rows = here.s1 < cut.s;
    RC_ASSERT(next.row0 == (same_rows ? here.row0 : here.row1));
    RC_ASSERT(next.s0 == (same_rows ? here.s1 : 0));
  }
}

RC_GTEST_PROP(Cut, SlabsOfHugeTensorsCoverTheChannels, ()) {
  const Cut cut(huge_view());
  RC_ASSERT(cut.slab_begin(0) == 0);
  RC_ASSERT(cut.slab_end(cut.slabs() - 1) == cut.channels);
  const auto i = *rc::gen::inRange<std::int64_t>(0, cut.slabs());
  RC_ASSERT(cut.slab_begin(i) < cut.slab_end(i));
  RC_ASSERT(i + 1 == cut.slabs() || cut.slab_end(i) == cut.slab_begin(i + 1));
}

RC_GTEST_PROP(Cut, OffsetsOfHugeTensorsStayInTheTensorAndTheMask, ()) {
  const ConstChannelView x = huge_view();
  const Cut cut(x);
  const auto row = *rc::gen::inRange<std::int64_t>(0, cut.rows);
  const auto c = *rc::gen::inRange<std::int64_t>(0, cut.channels);
  RC_ASSERT(cut.offset(row, c) >= 0);
  RC_ASSERT(cut.offset(row, c) + (cut.last ? 1 : cut.s) <= x.numel());
  RC_ASSERT(cut.offset(cut.rows - 1, cut.channels - 1) + cut.s == x.numel());
  RC_ASSERT(cut.mask_row(row, c) + cut.mask_row_bytes() <= cut.mask_bytes());
  RC_ASSERT(cut.mask_bytes() >= x.numel() / 8);
}

RC_GTEST_PROP(Cut, MemoryForHugeTensorsIsCounted, ()) {
  const ConstChannelView x = huge_view();
  const Epilogue relu{Activation::relu, 0, std::nullopt};
  const auto channels = static_cast<std::size_t>(x.c);
  RC_ASSERT(workspace_size(x) >= 7 * channels * sizeof(double));
  RC_ASSERT(workspace_size(x) <= (3 * Cut::kMaxGroups + 12) * (channels + 8) * sizeof(double));
  RC_ASSERT(state_size(x, {}) == 3 * channels * sizeof(double));
  RC_ASSERT(state_size(x, relu) >= static_cast<std::size_t>(x.numel() / 8));
}

TEST(Cut, ExtentsBesideAnEmptyOneDoNotOverflow) {
  const std::int64_t most = std::int64_t{1} << 58;
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    EXPECT_EQ(Cut(view_of(0, 1, most, layout)).rows * 1, 0);
    EXPECT_GT(workspace_size(view_of(most, 1, 0, layout)), 0U);
    EXPECT_GT(workspace_size(view_of(0, 3, most / 3, layout)), 0U);
  }
}

}  // namespace
}  // namespace evenkeel::norm::testing
